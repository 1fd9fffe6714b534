//! [`Expression`]: an SPDX licence expression.
//!
//! ```text
//! or   = and { "OR" and }          ("/" is read as OR, as manifests of old wrote it)
//! and  = atom { "AND" atom }
//! atom = "(" or ")" | licence [ "WITH" exception ]
//! ```

/// What may be asked of a package's licence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Expression {
    Licence {
        name: String,
        exception: Option<String>,
    },
    And(Vec<Self>),
    Or(Vec<Self>),
}

impl Expression {
    /// Reads an expression, all of it.
    ///
    /// # Errors
    /// What is wrong with it, in lower case.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let spaced = text
            .replace('(', " ( ")
            .replace(')', " ) ")
            .replace('/', " OR ");
        let mut parser = Parser {
            words: spaced.split_whitespace().collect(),
            at: 0,
        };
        let expression = parser.any_of(0)?;
        match parser.next() {
            None => Ok(expression),
            Some(word) => Err(format!("nothing may follow before {word:?}")),
        }
    }

    /// Whether it can be met with licences (and exceptions) that are allowed.
    pub(crate) fn holds(&self, allowed: &impl Fn(&str, Option<&str>) -> bool) -> bool {
        match self {
            Self::Licence { name, exception } => allowed(name, exception.as_deref()),
            Self::And(parts) => parts.iter().all(|part| part.holds(allowed)),
            Self::Or(parts) => parts.iter().any(|part| part.holds(allowed)),
        }
    }
}

struct Parser<'a> {
    words: Vec<&'a str>,
    at: usize,
}

impl<'a> Parser<'a> {
    /// Deeper than any licence, so that no input overflows the stack.
    const DEEPEST: u32 = 32;

    fn peek(&self) -> Option<&'a str> {
        self.words.get(self.at).copied()
    }

    fn next(&mut self) -> Option<&'a str> {
        let word = self.peek()?;
        self.at += 1;
        Some(word)
    }

    fn takes(&mut self, word: &str) -> bool {
        let found = self.peek() == Some(word);
        self.at += usize::from(found);
        found
    }

    fn any_of(&mut self, depth: u32) -> Result<Expression, String> {
        if depth > Self::DEEPEST {
            return Err("it is nested too deep".to_owned());
        }
        let mut parts = vec![self.all_of(depth)?];
        while self.takes("OR") {
            parts.push(self.all_of(depth)?);
        }
        Ok(single(parts, Expression::Or))
    }

    fn all_of(&mut self, depth: u32) -> Result<Expression, String> {
        let mut parts = vec![self.atom(depth)?];
        while self.takes("AND") {
            parts.push(self.atom(depth)?);
        }
        Ok(single(parts, Expression::And))
    }

    fn atom(&mut self, depth: u32) -> Result<Expression, String> {
        if self.takes("(") {
            let inner = self.any_of(depth + 1)?;
            return if self.takes(")") {
                Ok(inner)
            } else {
                Err("a parenthesis is not closed".to_owned())
            };
        }
        let name = self.name("a licence")?;
        let exception = if self.takes("WITH") {
            Some(self.name("an exception")?)
        } else {
            None
        };
        Ok(Expression::Licence { name, exception })
    }

    fn name(&mut self, what: &str) -> Result<String, String> {
        match self.next() {
            None => Err(format!("{what} is missing at the end")),
            Some(word @ ("OR" | "AND" | "WITH" | "(" | ")")) => {
                Err(format!("{what} is missing before {word:?}"))
            }
            Some(word) => Ok(word.to_owned()),
        }
    }
}

fn single(
    mut parts: Vec<Expression>,
    many: impl FnOnce(Vec<Expression>) -> Expression,
) -> Expression {
    match parts.pop() {
        Some(only) if parts.is_empty() => only,
        Some(last) => {
            parts.push(last);
            many(parts)
        }
        None => many(parts),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn licence(name: &str) -> Expression {
        Expression::Licence {
            name: name.to_owned(),
            exception: None,
        }
    }

    #[test]
    fn and_binds_tighter_than_or() {
        assert_eq!(
            Expression::parse("A OR B AND C"),
            Ok(Expression::Or(vec![
                licence("A"),
                Expression::And(vec![licence("B"), licence("C")])
            ]))
        );
        assert_eq!(
            Expression::parse("(A OR B)AND C"),
            Ok(Expression::And(vec![
                Expression::Or(vec![licence("A"), licence("B")]),
                licence("C")
            ]))
        );
    }

    #[test]
    fn with_belongs_to_its_licence() {
        assert_eq!(
            Expression::parse("A WITH x OR B"),
            Ok(Expression::Or(vec![
                Expression::Licence {
                    name: "A".to_owned(),
                    exception: Some("x".to_owned())
                },
                licence("B")
            ]))
        );
    }

    #[test]
    fn a_slash_is_an_or() {
        assert_eq!(Expression::parse("A/B"), Expression::parse("A OR B"));
    }

    #[test]
    fn damaged_expressions_are_refused() {
        for text in [
            "",
            "A OR",
            "OR A",
            "(A",
            "A)",
            "A B",
            "A WITH",
            "()",
            "A AND OR B",
        ] {
            assert!(Expression::parse(text).is_err(), "{text:?}");
        }
        assert!(Expression::parse(&"(".repeat(100_000)).is_err());
    }
}
