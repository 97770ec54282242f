//! Masks whose keys may be held for a bounded time only: built anew for each batch, they keep no key in between.

use super::{Build, Secrets};
use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use kernel::Classification;
use kernel::contract::{Constraints, MaskSpec};
use kernel::error::Result;
use kernel::keys::{Key, KeyProvider};
use kernel::mask::{Mask, Promise};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Builds a mask; one that asks for a key that expires is renewed for each batch.
pub(super) fn build(build: Build, spec: &MaskSpec, kind: Option<&str>, secrets: &Secrets) -> Result<Box<dyn Mask>> {
    if !secrets.keys.expires() {
        return build(spec, kind, secrets);
    }
    let asked = Arc::new(Asked { keys: secrets.keys.clone(), asked: AtomicBool::new(false) });
    let mask = build(spec, kind, &Secrets { keys: asked.clone(), ..secrets.clone() })?;
    if !asked.asked.load(Ordering::Relaxed) {
        return Ok(mask);
    }
    Ok(Box::new(Renewed {
        name: mask.name().to_owned(),
        promise: mask.promise(),
        subject: mask.subject().map(str::to_owned),
        build,
        spec: spec.clone(),
        kind: kind.map(str::to_owned),
        refusal: mask.refusal().map(str::to_owned),
        secrets: secrets.clone(),
    }))
}

/// Notices whether a key was asked for.
struct Asked {
    keys: Arc<dyn KeyProvider>,
    asked: AtomicBool,
}

impl KeyProvider for Asked {
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
    refusal: Option<String>,
    secrets: Secrets,
}

impl Renewed {
    fn mask(&self) -> Result<Box<dyn Mask>> {
        (self.build)(&self.spec, self.kind.as_deref(), &self.secrets)
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

    fn limits(&self, input: &DataType) -> Option<Constraints> {
        self.mask().ok()?.limits(input)
    }

    fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    fn apply_for(&self, column: &ArrayRef, subjects: &ArrayRef, class: Option<&Classification>) -> Result<ArrayRef> {
        self.mask()?.apply_for(column, subjects, class)
    }

    fn refusal(&self) -> Option<&str> {
        self.refusal.as_deref()
    }
}
