//! Where does one statement of a version's file end and the next begin? sqlparser's tokenizer knows quotes, dollar
//! quotes and comments; what a statement means is not asked here.

use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::tokenizer::{Token, Tokenizer};

/// One statement of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// As it stands in the file, without the comments before it and the semicolon behind it.
    pub text: String,
    /// Its words and signs in lower case, names without the schema: `photos`, `photos.id`, `'a string'`.
    pub words: Vec<String>,
    /// What stands between dollar quotes, for `do` and `create function`.
    pub body: Option<String>,
}

/// Divides SQL into statements. What cannot be read stays one statement without words.
pub fn split(sql: &str) -> Vec<Statement> {
    let Ok(tokens) = Tokenizer::new(&PostgreSqlDialect {}, sql).with_unescape(false).tokenize_with_location() else {
        return vec![Statement { text: sql.trim().to_owned(), words: Vec::new(), body: None }];
    };
    let place = Places::of(sql);
    let mut statements = Vec::new();
    let mut open: Option<usize> = None;
    let mut words = Words::default();
    for found in &tokens {
        let at = place.byte(found.span.start.line, found.span.start.column);
        match &found.token {
            Token::SemiColon => {
                if let Some(start) = open.take() {
                    statements.push(std::mem::take(&mut words).statement(&sql[start..at]));
                }
            }
            Token::Whitespace(_) | Token::EOF => {}
            token => {
                open.get_or_insert(at);
                words.push(token);
            }
        }
    }
    if let Some(start) = open {
        statements.push(words.statement(&sql[start..]));
    }
    statements
}

/// The words of a statement as they come.
#[derive(Default)]
struct Words {
    words: Vec<String>,
    body: Option<String>,
    dot: bool,
}

impl Words {
    fn push(&mut self, token: &Token) {
        let word = match token {
            Token::Period => {
                self.dot = true;
                return;
            }
            Token::Word(word) if word.quote_style.is_some() => word.value.clone(),
            Token::Word(word) => word.value.to_lowercase(),
            Token::SingleQuotedString(text) => format!("'{text}'"),
            Token::DollarQuotedString(body) => {
                self.body.get_or_insert_with(|| body.value.clone());
                "$$".to_owned()
            }
            other => other.to_string().to_lowercase(),
        };
        match (std::mem::take(&mut self.dot), self.words.last_mut()) {
            (true, Some(before)) if before == "companycam_photos" => *before = word,
            (true, Some(before)) => *before = format!("{before}.{word}"),
            _ => self.words.push(word),
        }
    }

    fn statement(self, text: &str) -> Statement {
        Statement { text: text.trim_end().to_owned(), words: self.words, body: self.body }
    }
}

/// Bytes by line and column, both counted from 1, columns in characters.
struct Places<'a> {
    lines: Vec<(usize, &'a str)>,
    length: usize,
}

impl<'a> Places<'a> {
    fn of(sql: &'a str) -> Self {
        let mut lines = Vec::new();
        let mut start = 0;
        for line in sql.split_inclusive('\n') {
            lines.push((start, line));
            start += line.len();
        }
        Self { lines, length: sql.len() }
    }

    fn byte(&self, line: u64, column: u64) -> usize {
        let index = |number: u64| usize::try_from(number).unwrap_or(usize::MAX).saturating_sub(1);
        let Some((start, text)) = self.lines.get(index(line)) else { return self.length };
        start + text.char_indices().nth(index(column)).map_or(text.len(), |(at, _)| at)
    }
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn split_keeps_quotes_comments_and_bodies_whole() {
        let sql = "-- first; not a statement\ncreate table companycam_photos.b (c text default 'é;''x');\n\
                   do $$ begin create index i on a.b (c); end $$;\n/* ; */ comment on table companycam_photos.b is 'it''s'";

        let found = split(sql);

        let texts: Vec<_> = found.iter().map(|statement| statement.text.as_str()).collect();
        assert_eq!(
            texts,
            [
                "create table companycam_photos.b (c text default 'é;''x')",
                "do $$ begin create index i on a.b (c); end $$",
                "comment on table companycam_photos.b is 'it''s'"
            ]
        );
        assert_eq!(found[0].words[..4], ["create", "table", "b", "("]);
        assert_eq!(found[1].body.as_deref(), Some(" begin create index i on a.b (c); end "));
        assert_eq!(found[2].words, ["comment", "on", "table", "b", "is", "'it''s'"]);
    }
}
