export { connect } from './client.js';
export { ModeloptError } from './errors.js';
export { Model } from './model.js';
export { hasSimd, init } from './runtime.js';
