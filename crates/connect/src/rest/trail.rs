//! Whether a pass can have an end: what was asked in it, so that nobody is led in a circle.

use super::pages::{Next, Way};
use kernel::error::{Error, Result};
use std::collections::HashSet;
use twox_hash::XxHash3_64;
use url::Url;

/// The pages of a pass behind one path, as far as another one is told from them.
#[derive(Default)]
pub struct Trail {
    /// Hashed cursors and links that were asked.
    asked: HashSet<u64>,
    /// Of the records of the page before.
    mark: Option<u64>,
}

/// When so many are remembered, it begins anew: a circle of fewer pages is found out all the same.
const ASKED_MAX: usize = 1 << 20;

impl Trail {
    /// Goes from a page on to what its answer says is next. `records` tells the records of a page that has any from those of
    /// others. The same page may be given again, when what it gave was not taken.
    pub fn step(
        &mut self,
        asked: &Next,
        url: &Url,
        next: Option<&Next>,
        records: Option<u64>,
        way: &Way,
    ) -> Result<()> {
        if records.is_some() && self.mark == records {
            return Err(same_again(way.shown));
        }
        let own = match asked {
            Next::First => hash(&Next::Url(way.home.keep(url.clone(), way.key))),
            _ => hash(asked),
        };
        if self.asked.len() >= ASKED_MAX {
            self.asked.clear();
        }
        self.asked.extend(own);
        if next.and_then(hash).is_some_and(|next| self.asked.contains(&next)) {
            let detail = "its answers lead in a circle: the next page is one that was read before, so that there would be no \
                          end; look whether `pagination` is what the API takes";
            return Err(Error::data(way.shown, detail));
        }
        self.mark = records;
        Ok(())
    }
}

/// What counts can't come again.
fn hash(next: &Next) -> Option<u64> {
    match next {
        Next::Cursor(text) => Some(XxHash3_64::oneshot_with_seed(1, text.as_bytes())),
        Next::Url(text) => Some(XxHash3_64::oneshot_with_seed(2, text.as_bytes())),
        Next::First | Next::Page(_) | Next::Offset(_) => None,
    }
}

/// A server that gives one page for every page behind it has no end.
fn same_again(shown: &str) -> Error {
    let detail = "two pages have the same records, so that there would be no end; look whether `pagination.param` is what the \
                  API takes, and let `pagination.total`, `pages` or `more` say where the end is";
    Error::data(shown, detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rest::urls::Home;

    fn walk(steps: &[(Next, Option<Next>, Option<u64>)]) -> Result<(), String> {
        let home = Home::new("https://api.example.com/v2", &[]).expect("a home");
        let way = Way { home: &home, key: None, shown: "GET orders" };
        let url = home.join("orders?limit=5").expect("a URL");
        let mut trail = Trail::default();
        let mut steps = steps.iter();
        steps
            .try_for_each(|(asked, next, mark)| trail.step(asked, &url, next.as_ref(), *mark, &way))
            .map_err(|e| e.detail)
    }

    #[test]
    fn a_circle_is_told_at_the_first_page_that_comes_again() {
        let cursor = |text: &str| Next::Cursor(text.into());
        let (first, a, b) = (|| Next::First, || cursor("a"), || cursor("b"));
        let circle = [(first(), Some(a()), Some(1)), (a(), Some(b()), Some(2)), (b(), Some(a()), Some(3))];
        assert_eq!(walk(&circle[..2]), Ok(()));
        assert!(walk(&circle).is_err_and(|why| why.contains("in a circle") && why.contains("no end")));
        let link = |text: &str| Next::Url(text.into());
        let back = [
            (first(), Some(link("/v2/orders?c=2")), None),
            (link("/v2/orders?c=2"), Some(link("/v2/orders?limit=5")), None),
        ];
        assert!(walk(&back).is_err_and(|why| why.contains("in a circle")), "to the first page");
        let twice = [(first(), Some(a()), Some(1)), (a(), Some(b()), None), (a(), Some(b()), None)];
        assert_eq!(walk(&twice), Ok(()), "a page that is asked again is no circle");
    }

    #[test]
    fn two_pages_with_the_same_records_have_no_end() {
        let cursor = |n: u64| Next::Cursor(n.to_string());
        let page = |n: u64, mark: Option<u64>| (cursor(n), Some(cursor(n + 1)), mark);
        assert!(walk(&[page(1, Some(7)), page(2, Some(7))]).is_err_and(|why| why.contains("two pages have the same")));
        assert_eq!(walk(&[page(1, Some(7)), page(2, Some(8)), page(3, Some(7)), page(4, None), page(5, None)]), Ok(()));
        let counted = [(Next::Page(1), Some(Next::Page(2)), Some(7)), (Next::Page(2), Some(Next::Page(3)), Some(7))];
        assert!(walk(&counted).is_err());
    }
}
