//! Lists as the server writes them: `{1,NULL,"a \"b\""}`.

/// The elements of a list of one dimension; `None` for what is none.
pub fn elements(text: &str) -> Option<Vec<Option<String>>> {
    // Bounds that do not start at 1 stand before: `[0:1]={1,2}`.
    let text = if text.starts_with('[') { text.split_once('=')?.1 } else { text };
    let inner = text.strip_prefix('{')?.strip_suffix('}')?;
    let mut all = Vec::new();
    if inner.is_empty() {
        return Some(all);
    }
    let mut signs = inner.chars().peekable();
    loop {
        let (element, is_quoted) = element(&mut signs)?;
        all.push((is_quoted || element != "NULL").then_some(element));
        match signs.next() {
            None => return Some(all),
            Some(',') => {}
            Some(_) => return None,
        }
    }
}

type Signs<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// One element, and whether it was in quotes.
fn element(signs: &mut Signs) -> Option<(String, bool)> {
    let mut text = String::new();
    if signs.next_if_eq(&'"').is_some() {
        loop {
            match signs.next()? {
                '"' => return Some((text, true)),
                '\\' => text.push(signs.next()?),
                sign => text.push(sign),
            }
        }
    }
    while let Some(sign) = signs.next_if(|sign| *sign != ',') {
        match sign {
            // More dimensions than one.
            '{' | '}' | '"' => return None,
            '\\' => text.push(signs.next()?),
            sign => text.push(sign),
        }
    }
    Some((text, false))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Vec<Option<String>>> {
        elements(text)
    }

    #[test]
    fn lists_keep_their_nulls_and_their_quotes() {
        let texts = |all: &[Option<&str>]| Some(all.iter().map(|text| text.map(str::to_owned)).collect::<Vec<_>>());
        assert_eq!(read("{}"), texts(&[]));
        assert_eq!(read("{1,NULL,3}"), texts(&[Some("1"), None, Some("3")]));
        assert_eq!(read(r#"{"NULL","a,b","q\"\\",""}"#), texts(&[Some("NULL"), Some("a,b"), Some("q\"\\"), Some("")]));
        assert_eq!(read("[0:1]={a,b}"), texts(&[Some("a"), Some("b")]));
        for bad in ["", "{", "{{1},{2}}", "{\"a}", "1,2", "{\"a\"b}"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
