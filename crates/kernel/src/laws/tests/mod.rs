//! The laws, tried on toys that keep them and on toys that each break one.

mod broker;
mod clock;
mod engine;
mod ledger;
mod sink;
mod source;
mod stage;

use std::panic::{AssertUnwindSafe, catch_unwind};

/// What a law says of a toy; `None` when it has nothing against it.
fn verdict(law: impl FnOnce()) -> Option<String> {
    let panic = catch_unwind(AssertUnwindSafe(law)).err()?;
    let text = panic.downcast_ref::<String>().cloned();
    Some(text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default())
}

/// The law finds the fault, and says so in words that hold `word`.
fn assert_caught(fault: &str, word: &str, law: impl FnOnce()) {
    let verdict = verdict(law).unwrap_or_else(|| panic!("nobody noticed `{fault}`"));
    assert!(verdict.contains(word), "`{fault}` was caught for another reason: {verdict}");
}
