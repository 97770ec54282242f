//! Masks whose keys may be held for a bounded time only: built anew for each batch, they keep no key in between.

use super::Build;
use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use kernel::contract::MaskSpec;
use kernel::error::Result;
use kernel::keys::{Key, KeyProvider};
use kernel::mask::{Mask, Promise};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Builds a mask; one that asks for a key that expires is renewed for each batch.
pub(super) fn build(
    build: Build,
    spec: &MaskSpec,
    kind: Option<&str>,
    keys: &Arc<dyn KeyProvider>,
) -> Result<Box<dyn Mask>> {
    let asked = Asked { keys: &**keys, asked: AtomicBool::new(false) };
    let mask = build(spec, kind, &asked)?;
    if !keys.expires() || !asked.asked.into_inner() {
        return Ok(mask);
    }
    Ok(Box::new(Renewed {
        name: mask.name().to_owned(),
        promise: mask.promise(),
        subject: mask.subject().map(str::to_owned),
        build,
        spec: spec.clone(),
        kind: kind.map(str::to_owned),
        keys: keys.clone(),
    }))
}

/// Notices whether a key was asked for.
struct Asked<'a> {
    keys: &'a dyn KeyProvider,
    asked: AtomicBool,
}

impl KeyProvider for Asked<'_> {
    fn key(&self, scope: &str, version: Option<u32>) -> Result<Key> {
        self.asked.store(true, Ordering::Relaxed);
        self.keys.key(scope, version)
    }

    fn published(&self, scope: &str) -> Option<String> {
        self.keys.published(scope)
    }
}

/// How a mask is made, and no mask.
struct Renewed {
    name: String,
    promise: Promise,
    subject: Option<String>,
    build: Build,
    spec: MaskSpec,
    kind: Option<String>,
    keys: Arc<dyn KeyProvider>,
}

impl Renewed {
    fn mask(&self) -> Result<Box<dyn Mask>> {
        (self.build)(&self.spec, self.kind.as_deref(), &*self.keys)
    }
}

impl Mask for Renewed {
    fn name(&self) -> &str {
        &self.name
    }

    fn promise(&self) -> Promise {
        self.promise
    }

    fn output(&self, input: &DataType) -> Result<Option<DataType>> {
        self.mask()?.output(input)
    }

    fn apply(&self, column: &ArrayRef) -> Result<ArrayRef> {
        self.mask()?.apply(column)
    }

    fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    fn apply_for(&self, column: &ArrayRef, subjects: &ArrayRef) -> Result<ArrayRef> {
        self.mask()?.apply_for(column, subjects)
    }
}
