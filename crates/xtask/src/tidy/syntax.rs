//! Reading Rust files as flat lists of tokens, so that what stands in macro calls is seen too.

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use super::files::SourceFile;

/// One token, with the line on which it starts.
pub(super) struct Token {
    pub(super) line: usize,
    pub(super) kind: TokenKind,
}

/// What a token is; groups are opened and closed by punctuation.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// A name or a keyword.
    Name(String),
    /// The content of a string literal.
    Text(String),
    /// A single character of punctuation, brackets included.
    Mark(char),
    /// Any other literal.
    Other,
}

impl Token {
    /// Whether it is this name or keyword.
    pub(super) fn is_name(&self, name: &str) -> bool {
        matches!(&self.kind, TokenKind::Name(found) if found == name)
    }

    /// Whether it is this character of punctuation.
    pub(super) fn is_mark(&self, mark: char) -> bool {
        self.kind == TokenKind::Mark(mark)
    }
}

/// The tokens of a Rust file, without comments; none if it is not one or does not parse, which
/// the rule of lengths reports.
pub(super) fn tokens(file: &SourceFile) -> Vec<Token> {
    let mut tokens = Vec::new();
    if let Some(text) = file.text.as_deref().filter(|_| file.has_extension("rs"))
        && let Ok(stream) = text.parse()
    {
        flatten(stream, &mut tokens);
    }
    tokens
}

fn flatten(stream: TokenStream, tokens: &mut Vec<Token>) {
    for tree in stream {
        let line = tree.span().start().line;
        match tree {
            TokenTree::Ident(name) => {
                tokens.push(Token {
                    line,
                    kind: TokenKind::Name(name.to_string()),
                });
            }
            TokenTree::Punct(punct) => {
                tokens.push(Token {
                    line,
                    kind: TokenKind::Mark(punct.as_char()),
                });
            }
            TokenTree::Literal(literal) => {
                let content = syn::parse_str::<syn::LitStr>(&literal.to_string());
                let kind = content.map_or(TokenKind::Other, |text| TokenKind::Text(text.value()));
                tokens.push(Token { line, kind });
            }
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ('(', ')'),
                    Delimiter::Brace => ('{', '}'),
                    Delimiter::Bracket => ('[', ']'),
                    Delimiter::None => (' ', ' '),
                };
                tokens.push(Token {
                    line,
                    kind: TokenKind::Mark(open),
                });
                flatten(group.stream(), tokens);
                let line = group.span_close().start().line;
                tokens.push(Token {
                    line,
                    kind: TokenKind::Mark(close),
                });
            }
        }
    }
}
