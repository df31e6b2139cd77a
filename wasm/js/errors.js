/** What a code of the module means: its stable name, and what helps. */
const REASONS = new Map([
  [1, ['not-a-model', 'Pass the bytes of a .mopt file; a path that does not exist often answers with a page of HTML.']],
  [2, ['version', 'Update the modelopt package, or export the model again with the version in use.']],
  [3, ['truncated', 'Download the file again; compare its size with the original.']],
  [4, ['checksum', 'Download the file again; do not let a server or a text conversion change its bytes.']],
  [5, ['alignment', 'Export the model again.']],
  [6, ['tensor', 'Export the model again.']],
  [7, ['node', 'Export the model again.']],
  [8, ['unknown-operator', 'Update the modelopt package: the model uses an operator that this version lacks.']],
  [9, ['operand', 'Export the model again with the version of the package in use.']],
  [10, ['memory', 'Dispose of models that are not used any more, or use a smaller one.']],
  [11, ['meta', 'Export the model again.']],
  [12, ['port', 'Pass elements of the type and number that `model.inputs` shows.']],
  [100, ['disposed', 'Load the model again, or call dispose() later.']],
]);

/** Everything that this package throws on purpose. */
export class ModeloptError extends Error {
  /**
   * @param {string} code a stable name, such as `checksum`
   * @param {string} problem what is wrong
   * @param {string} remedy what helps
   * @param {{operator?: string, tensor?: string, cause?: unknown}} [details]
   */
  constructor(code, problem, remedy, { operator, tensor, cause } = {}) {
    const where = operator ? ` (${operator})` : '';
    super(`${problem}${where}. ${remedy}`, cause === undefined ? undefined : { cause });
    this.name = 'ModeloptError';
    this.code = code;
    this.remedy = remedy;
    this.operator = operator;
    this.tensor = tensor;
  }

  /** The error behind a code of the module and its text. */
  static fromModule(number, text, tensor) {
    const [code, remedy] = REASONS.get(number) ?? ['internal', 'Please report this with the model.'];
    const [problem, operator] = text.split('\n');
    return new ModeloptError(code, problem, remedy, { operator, tensor });
  }

  /** What a worker sends instead of the error, which would lose its fields on the way. */
  toMessage() {
    const { code, message, remedy, operator, tensor } = this;
    return { code, message, remedy, operator, tensor };
  }

  /** The error that {@link toMessage} was made from. */
  static fromMessage({ code, message, remedy, operator, tensor }) {
    const error = new ModeloptError(code, '', remedy, { operator, tensor });
    error.message = message;
    return error;
  }
}
