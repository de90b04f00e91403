//! How deep a policy's text is, found out before anything recursive sees it.
//!
//! Cedar's parser, validator and evaluator recurse over the expression, and so does dropping it. A stack that overflows
//! ends the process, and with it every other tenant's service: some fifty parentheses are enough on a small stack. So the
//! text is measured first, by a loop, and a text that is too deep is refused like any other that is not valid.
//!
//! # Invariants
//! - INV-SHAPE-1: the measure is never less than the depth of the expression that Cedar builds from the text.
//! - INV-SHAPE-2: brackets that do not match are refused here, because the parser repairs them in ways that the measure
//!   does not follow.
//!
//! # Deliberately absent
//! No grammar: what is well formed is for the parser to say.

/// The most brackets inside each other.
pub(crate) const NESTING_MAX: usize = 24;
/// The most operators above each other.
pub(crate) const DEPTH_MAX: usize = 160;
/// The most `if`s inside each other: the validator's work doubles with each.
pub(crate) const CONDITIONALS_MAX: usize = 4;
/// The most statements in one document: validation takes time for each, and it is everybody's.
pub(crate) const STATEMENTS_MAX: usize = 128;

/// Why a text is not even parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Misshapen {
    /// Brackets inside brackets inside brackets.
    Nested,
    /// One expression with too many operators above each other.
    Deep,
    /// `if` inside `if` inside `if`.
    Branching,
    /// Too many statements.
    Long,
    /// A bracket that closes nothing, or another one.
    Unopened,
    /// A bracket that nothing closes.
    Unclosed,
}

/// One open bracket, or the text itself.
#[derive(Debug, Default)]
struct Level {
    at: usize,
    closer: char,
    /// Operators since the last comma that stack up however they are grouped: `&&`, `||`, `if`, `when`, `unless`.
    joints: usize,
    /// Operators and brackets of the present operand of those, and the deepest bracket in it.
    term: usize,
    inner: usize,
    /// Of `if`s: since the last comma, and in the bracket since then that has the most inside each other.
    ifs: usize,
    inner_ifs: usize,
    /// The deepest operand since the last comma, and the deepest element since the bracket opened.
    operand: usize,
    element: usize,
    element_ifs: usize,
}

impl Level {
    fn open(at: usize, closer: char) -> Self {
        Self { at, closer, ..Self::default() }
    }

    fn end_operand(&mut self) {
        self.operand = self.operand.max(self.term + self.inner);
        (self.term, self.inner) = (0, 0);
    }

    fn end_element(&mut self) {
        self.end_operand();
        self.element = self.element.max(self.joints + self.operand);
        self.element_ifs = self.element_ifs.max(self.ifs + self.inner_ifs);
        (self.joints, self.operand, self.ifs, self.inner_ifs) = (0, 0, 0, 0);
    }
}

/// The depth of a text. On refusal, says where.
pub(crate) fn measure(text: &str) -> Result<usize, (usize, Misshapen)> {
    let mut level = Level::default();
    let mut outer: Vec<Level> = Vec::new();
    let mut statements = 0;
    let mut deepest = 0;
    for (at, token) in (Tokens { text, at: 0 }) {
        match token {
            Token::Open(closer) => {
                level.term += 1;
                outer.push(std::mem::replace(&mut level, Level::open(at, closer)));
                if outer.len() > NESTING_MAX {
                    return Err((at, Misshapen::Nested));
                }
            }
            Token::Close(closer) => {
                let parent = outer.pop().filter(|_| level.closer == closer).ok_or((at, Misshapen::Unopened))?;
                level.end_element();
                let (depth, ifs) = (level.element + 1, level.element_ifs);
                level = parent;
                level.inner = level.inner.max(depth);
                level.inner_ifs = level.inner_ifs.max(ifs);
            }
            Token::Joint | Token::If => {
                level.end_operand();
                level.joints += 1;
                level.ifs += usize::from(matches!(token, Token::If));
            }
            Token::Operator => level.term += 1,
            Token::Comma => level.end_element(),
            Token::Semicolon => {
                level.end_element();
                statements += 1;
                if statements > STATEMENTS_MAX {
                    return Err((at, Misshapen::Long));
                }
            }
        }
        deepest = deepest.max(level.joints + level.operand.max(level.term + level.inner));
        if deepest > DEPTH_MAX {
            return Err((at, Misshapen::Deep));
        }
        if level.ifs + level.inner_ifs > CONDITIONALS_MAX {
            return Err((at, Misshapen::Branching));
        }
    }
    if outer.is_empty() { Ok(deepest) } else { Err((level.at, Misshapen::Unclosed)) }
}

/// Runs `evaluate` on a stack that holds an expression of this depth, whatever is left of the caller's: whether a policy
/// fails must not depend on who calls.
pub(crate) fn with_room_for<T>(depth: usize, evaluate: impl FnOnce() -> T) -> T {
    let bytes = room_for(depth);
    stacker::maybe_grow(bytes, bytes, evaluate)
}

/// What the evaluator was seen to take per level, with room to spare. Unoptimised frames are much larger.
const LEVEL_BYTES: usize = if cfg!(debug_assertions) { 65_536 } else { 8_192 };

fn room_for(depth: usize) -> usize {
    // The scope around the condition, and what the evaluator itself wants to have left.
    (depth + 8) * LEVEL_BYTES + 262_144
}

enum Token {
    Open(char),
    Close(char),
    Joint,
    If,
    Operator,
    Comma,
    Semicolon,
}

/// The tokens that matter, with where they begin. Strings and comments end where Cedar's grammar ends them.
struct Tokens<'t> {
    text: &'t str,
    at: usize,
}

impl Iterator for Tokens<'_> {
    type Item = (usize, Token);

    fn next(&mut self) -> Option<(usize, Token)> {
        loop {
            let at = self.at;
            let rest = self.text.get(at..)?;
            let first = rest.chars().next()?;
            let (length, token) = match first {
                // No end: the lexer stops here, and so does this.
                '"' => (string_length(rest)?, None),
                '/' if rest.starts_with("//") => (rest.find(['\n', '\r']).unwrap_or(rest.len()), None),
                '&' if rest.starts_with("&&") => (2, Some(Token::Joint)),
                '|' if rest.starts_with("||") => (2, Some(Token::Joint)),
                '=' | '!' | '<' | '>' if rest.get(1..).is_some_and(|rest| rest.starts_with('=')) => {
                    (2, Some(Token::Operator))
                }
                '=' | '!' | '<' | '>' | '+' | '-' | '*' | '/' | '%' | '.' => (1, Some(Token::Operator)),
                '(' => (1, Some(Token::Open(')'))),
                '[' => (1, Some(Token::Open(']'))),
                '{' => (1, Some(Token::Open('}'))),
                ')' | ']' | '}' => (1, Some(Token::Close(first))),
                ',' => (1, Some(Token::Comma)),
                ';' => (1, Some(Token::Semicolon)),
                'a'..='z' | 'A'..='Z' | '0'..='9' | '_' => {
                    let length = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
                    (length, word(rest.get(..length).unwrap_or_default()))
                }
                other => (other.len_utf8(), None),
            };
            self.at = at + length;
            if let Some(token) = token {
                return Some((at, token));
            }
        }
    }
}

fn word(word: &str) -> Option<Token> {
    match word {
        "if" => Some(Token::If),
        "when" | "unless" => Some(Token::Joint),
        "in" | "has" | "like" | "is" => Some(Token::Operator),
        _ => None,
    }
}

/// The length of the string literal that `text` starts with, both quotes included.
fn string_length(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<(), Misshapen>) {
        assert_eq!(
            measure(text).map(|_| ()).map_err(|(_, why)| why),
            expected,
            "{}",
            text.chars().take(80).collect::<String>()
        );
    }

    #[test]
    fn depth_is_counted_through_brackets_chains_and_both() {
        let within = DEPTH_MAX - 4;
        for joint in ["&&", "||"] {
            check(&format!("a{}", format!("{joint}b.c == d").repeat(within)), Ok(()));
            check(&format!("a{}", format!("{joint}b.c == d").repeat(DEPTH_MAX + 1)), Err(Misshapen::Deep));
        }
        for chain in ["+1", ".a", "[\"a\"]", "(a)", " in b", "!", " when {true}"] {
            check(&format!("a{}", chain.repeat(within / 2)), Ok(()));
            check(&format!("a{}", chain.repeat(DEPTH_MAX + 1)), Err(Misshapen::Deep));
        }
        check(&format!("{}a{}", "(".repeat(NESTING_MAX), ")".repeat(NESTING_MAX)), Ok(()));
        check(&format!("{}a{}", "(".repeat(NESTING_MAX + 1), ")".repeat(NESTING_MAX + 1)), Err(Misshapen::Nested));
        // The leftmost operand is the deepest one: what is in it counts on top of the chain after it.
        let half = "&&b".repeat(DEPTH_MAX / 2);
        check(&format!("(a{half}){half}"), Err(Misshapen::Deep));
        check(&format!("{half}(a{half})"), Err(Misshapen::Deep));
        check(&format!("f(a{half}, b{half}, [c{half}])"), Ok(()));
    }

    #[test]
    fn the_measure_of_a_text_is_exact() {
        for (text, depth) in [
            ("a", 0),
            ("a.b", 1),
            ("a_in.b", 1),
            ("a has b", 1),
            ("a hash b", 0),
            ("a == b", 1),
            ("a <= b != c >= d", 3),
            ("a < b", 1),
            ("a / b.c", 2),
            ("a & b | c", 0),
            ("a && b", 1),
            ("a.b && c.d.e", 3),
            ("a.b.c || d", 3),
            ("a && b.c, d.e", 2),
            ("\"a.b\\\".c\" in d", 1),
            ("a // .b.c\n.d", 1),
            ("(a)", 2),
            ("((a))", 4),
            ("[a.b, c]", 3),
            ("f(a, b.c).d", 4),
            ("(a && b) && (c.d)", 4),
            ("a && (b && c.d, e)", 5),
            ("if a then b.c else d", 2),
            ("a.b.c when d.e.f", 3),
            ("permit(a, b, c) when { d };", 3),
            ("permit(a, b, c); permit(a, b, c.d);", 3),
        ] {
            assert_eq!(measure(text), Ok(depth), "{text}");
        }
        check(&format!("a{}", "&&b".repeat(DEPTH_MAX)), Ok(()));
        check(&format!("a{}", "&&b".repeat(DEPTH_MAX + 1)), Err(Misshapen::Deep));
        assert_eq!(measure("ab (c"), Err((3, Misshapen::Unclosed)));
        assert_eq!(measure("ab (c]"), Err((5, Misshapen::Unopened)));
    }

    #[test]
    fn every_level_has_its_room_and_so_has_what_is_around_them() {
        assert!(room_for(0) >= 8 * LEVEL_BYTES + 262_144);
        for depth in 0..DEPTH_MAX {
            assert_eq!(room_for(depth + 1) - room_for(depth), LEVEL_BYTES);
        }
    }

    #[test]
    fn conditionals_are_counted_inside_each_other_however_they_are_written() {
        let within = CONDITIONALS_MAX;
        for (before, after) in [("if a then ", " else b"), ("if a then b else ", ""), ("if ", " then a else b")] {
            check(&format!("{}c{}", before.repeat(within), after.repeat(within)), Ok(()));
            check(&format!("{}c{}", before.repeat(within + 1), after.repeat(within + 1)), Err(Misshapen::Branching));
            let [before, after] = [format!("({before}"), format!("{after})")];
            check(&format!("{}c{}", before.repeat(within), after.repeat(within)), Ok(()));
            check(&format!("{}c{}", before.repeat(within + 1), after.repeat(within + 1)), Err(Misshapen::Branching));
        }
        check(&"[if a then b else c, if a then b else c],(if a then b else c) &&".repeat(5), Ok(()));
    }

    #[test]
    fn siblings_strings_and_comments_do_not_count() {
        check(&format!("[{}]", "a.b,".repeat(10_000)), Ok(()));
        check(&"\"((((\\\"((((\"".repeat(100), Ok(()));
        check(&format!("// {}\n", "(".repeat(1_000)), Ok(()));
        check(&format!("// {}\r(", "(".repeat(1_000)), Err(Misshapen::Unclosed));
        check(&"permit(principal, action, resource);".repeat(STATEMENTS_MAX), Ok(()));
        check(&"permit(principal, action, resource);".repeat(STATEMENTS_MAX + 1), Err(Misshapen::Long));
        check("é(\u{2028})", Ok(()));
    }

    #[test]
    fn brackets_must_match() {
        for text in ["(]", ")", "([)]", "{(})", "a)b"] {
            check(text, Err(Misshapen::Unopened));
        }
        check("((a)", Err(Misshapen::Unclosed));
        check("\"(", Ok(()));
    }
}
