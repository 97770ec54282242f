//! What is known of a put whose answer is late, or never comes.

use super::*;
use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, PutMultipartOptions, PutPayload,
    PutResult,
};
use std::fmt;
use std::sync::Mutex;
use tokio::sync::Notify;

/// What becomes of a put that must not replace.
pub(crate) enum Answer {
    /// It is done, and the client, which got no answer, sends it again: then there is one of that name.
    Late,
    /// The same, and what is there can't be read.
    LateAndMute,
    /// It is done, and nobody says so.
    Lost,
    /// Nothing is done, for somebody else puts there just now: 409 of S3.
    Busy,
    /// The first notice is given, and it is done once the second has come.
    Held(Arc<Notify>, Arc<Notify>),
}

/// Answers as it should, but for the next put below a place.
#[derive(Clone)]
pub(crate) struct Moody {
    objects: Arc<dyn ObjectStore>,
    next: Arc<Mutex<Option<(&'static str, Answer)>>>,
    is_mute: Arc<Mutex<bool>>,
}

impl Moody {
    /// A local lake behind such a store.
    pub fn lake(place: &std::path::Path) -> (Store, Self) {
        let local = Store::open(&place.to_string_lossy(), &HashMap::new()).expect("a lake");
        let moody = Self { objects: local.objects.clone(), next: Arc::default(), is_mute: Arc::default() };
        (Store { objects: Arc::new(moody.clone()), is_local: false, ..local }, moody)
    }

    pub fn answers_next(&self, below: &'static str, answer: Answer) {
        *self.next.lock().expect("a lock") = Some((below, answer));
    }

    /// Holds the next put below a place; gives the notice that it has come, and the one that lets it go on.
    pub fn holds_next(&self, below: &'static str) -> (Arc<Notify>, Arc<Notify>) {
        let (came, go) = <(Arc<Notify>, Arc<Notify>)>::default();
        self.answers_next(below, Answer::Held(came.clone(), go.clone()));
        (came, go)
    }
}

impl fmt::Debug for Moody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Moody")
    }
}

impl fmt::Display for Moody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Moody")
    }
}

fn broken() -> object_store::Error {
    object_store::Error::Generic { store: "Moody", source: "connection closed before message completed".into() }
}

#[async_trait]
impl ObjectStore for Moody {
    async fn put_opts(&self, at: &Path, body: PutPayload, options: PutOptions) -> object_store::Result<PutResult> {
        let is_meant = |below: &str| matches!(options.mode, PutMode::Create) && at.as_ref().contains(below);
        let answer = self.next.lock().expect("a lock").take_if(|(below, _)| is_meant(below)).map(|(_, answer)| answer);
        let exists = || object_store::Error::AlreadyExists { path: at.to_string(), source: "it exists".into() };
        match &answer {
            Some(Answer::Busy) => return Err(exists()),
            Some(Answer::Held(came, go)) => {
                came.notify_one();
                go.notified().await;
            }
            _ => {}
        }
        let put = self.objects.put_opts(at, body, options).await?;
        match answer {
            Some(Answer::Late) => Err(exists()),
            Some(Answer::LateAndMute) => {
                *self.is_mute.lock().expect("a lock") = true;
                Err(exists())
            }
            Some(Answer::Lost) => Err(broken()),
            Some(Answer::Busy | Answer::Held(..)) | None => Ok(put),
        }
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.objects.put_multipart_opts(at, options).await
    }

    async fn get_opts(&self, at: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        if std::mem::take(&mut *self.is_mute.lock().expect("a lock")) {
            return Err(broken());
        }
        self.objects.get_opts(at, options).await
    }

    fn delete_stream(
        &self,
        places: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        self.objects.delete_stream(places)
    }

    fn list(&self, below: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.objects.list(below)
    }

    async fn list_with_delimiter(&self, below: Option<&Path>) -> object_store::Result<ListResult> {
        self.objects.list_with_delimiter(below).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> object_store::Result<()> {
        self.objects.copy_opts(from, to, options).await
    }
}

#[tokio::test]
async fn what_is_there_with_the_same_bytes_is_our_own_put() {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, moody) = Moody::lake(folder.path());
    let local = Store::open(&folder.path().to_string_lossy(), &HashMap::new()).expect("a lake");
    let (ours, others) = (Bytes::from_static(b"ours"), Bytes::from_static(b"others"));
    let place = store.own_path("a.json");
    moody.answers_next("a.json", Answer::Late);
    assert!(store.put_new(&place, ours.clone()).await.expect("a put"), "it is ours");
    for store in [&store, &local] {
        assert!(!store.put_new(&place, others.clone()).await.expect("a put"), "it is somebody else's");
        assert!(store.put_new(&place, ours.clone()).await.expect("a put"), "again is the same");
    }
    assert_eq!(store.get(&place).await.expect("a look"), Some(ours.clone()));
    let place = store.own_path("b.json");
    moody.answers_next("b.json", Answer::Busy);
    assert!(!store.put_new(&place, ours.clone()).await.expect("a put"), "somebody else is putting");
    assert!(store.put_new(&place, ours.clone()).await.expect("a put"));
}

#[tokio::test]
async fn what_is_there_and_cant_be_read_may_be_ours_or_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, moody) = Moody::lake(folder.path());
    let place = store.own_path("a.json");
    moody.answers_next("a.json", Answer::LateAndMute);
    let error = store.put_new(&place, Bytes::from_static(b"ours")).await.expect_err("nobody knows");
    assert!(error.kind == Kind::Unreachable && error.detail.contains("whether it is this one"), "{error}");
    assert!(store.get(&place).await.expect("a look").is_some());
}
