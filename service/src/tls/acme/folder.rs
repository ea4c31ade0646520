//! What is kept of ACME on disk: the account, the certificate with its key, what was tried.

use std::fs;
use std::io;
use std::path::PathBuf;

use instant_acme::AccountCredentials;
use rustls::sign::CertifiedKey;

use super::Config;
use super::schedule::Attempts;
use crate::log::Chain;
use crate::tls::pair::from_pem;
use crate::{Error, Result, files};

/// One ACME server's folder. Only the owner may read what is in it.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    path: PathBuf,
    /// What files of one certificate are called: its first name.
    stem: String,
}

impl Folder {
    /// Where things are; nothing is touched yet. Another server's account and certificates are elsewhere, so that
    /// nobody goes on with those of a trial.
    pub(super) fn new(config: &Config) -> Self {
        let server = config.directory.split_once("://").map_or(&*config.directory, |(_, rest)| rest);
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
        let path = config.folder.join(server.chars().map(plain).collect::<String>());
        Self { path, stem: config.names.first().cloned().unwrap_or_default() }
    }

    /// The account, once there is one.
    ///
    /// # Errors
    /// The file cannot be read or is damaged. It is not made anew by itself: ACME servers count accounts too.
    pub(super) fn account(&self) -> Result<Option<AccountCredentials>> {
        let path = self.path.join(ACCOUNT);
        let failed = |source| Error::AcmeFolder { what: "read", path: path.clone(), source };
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| failed(error.into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    pub(super) fn keep_account(&self, account: &AccountCredentials) -> Result<()> {
        self.keep(ACCOUNT, serde_json::to_vec(account).map_err(io::Error::from))
    }

    /// The last certificate, whatever it is for, or `None` where there is nothing usable.
    pub(super) fn certificate(&self) -> Option<CertifiedKey> {
        let path = self.path.join(self.file("pem"));
        let pem = match fs::read(&path) {
            Ok(pem) => pem,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(
                    "cannot read the certificate in {}, check its permissions: {error}",
                    path.display()
                );
                return None;
            }
        };
        from_pem(&pem)
            .inspect_err(|error| {
                tracing::warn!("the certificate in {} is not used: {}", path.display(), Chain(error));
            })
            .ok()
    }

    /// Chain and key go into one file, so that they are always each other's.
    pub(super) fn keep_certificate(&self, pem: &str) -> Result<()> {
        self.keep(&self.file("pem"), Ok(pem.as_bytes().to_vec()))
    }

    /// What was tried for these names. A file that cannot be read counts for nothing.
    pub(super) fn attempts(&self, names: &[String]) -> Attempts {
        let bytes = fs::read(self.path.join(self.file("json"))).unwrap_or_default();
        let kept = serde_json::from_slice(&bytes).ok().filter(|kept: &Attempts| kept.names == names);
        kept.unwrap_or_else(|| Attempts { names: names.to_vec(), ..Attempts::default() })
    }

    pub(super) fn keep_attempts(&self, attempts: &Attempts) -> Result<()> {
        self.keep(&self.file("json"), serde_json::to_vec(attempts).map_err(io::Error::from))
    }

    fn file(&self, kind: &str) -> String {
        format!("{}.{kind}", self.stem)
    }

    fn keep(&self, file: &str, bytes: io::Result<Vec<u8>>) -> Result<()> {
        let path = self.path.join(file);
        let written = bytes.and_then(|bytes| files::write(&path, &bytes));
        written.map_err(|source| Error::AcmeFolder { what: "write", path, source })
    }
}

const ACCOUNT: &str = "account.json";

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use super::*;
    use crate::tls::leaf::dns_names;

    fn folder(dir: &Path) -> Folder {
        let names = vec!["a.test".to_owned()];
        Folder::new(&Config { names, folder: dir.join("acme"), ..Config::default() })
    }

    fn pem(name: &str) -> [String; 2] {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        [made.cert.pem(), made.signing_key.serialize_pem()]
    }

    #[test]
    fn a_certificate_is_there_again_and_only_for_its_owner() {
        let dir = tempfile::tempdir().unwrap();
        let folder = folder(dir.path());
        assert!(folder.certificate().is_none());
        let [chain, key] = pem("a.test");
        folder.keep_certificate(&format!("{key}{chain}")).unwrap();
        assert_eq!(dns_names(&folder.certificate().unwrap()), ["a.test"]);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let path = dir.path().join("acme/acme-v02.api.letsencrypt.org-directory/a.test.pem");
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left beside it");

        // A damaged one is as good as none, and so is one with the key of another.
        folder.keep_certificate(&format!("{}{chain}", pem("a.test")[1])).unwrap();
        assert!(folder.certificate().is_none());
        folder.keep_certificate(&chain[..chain.len() / 2]).unwrap();
        assert!(folder.certificate().is_none());
    }

    #[test]
    fn what_was_tried_counts_for_the_same_names() {
        let dir = tempfile::tempdir().unwrap();
        let folder = folder(dir.path());
        let names = ["a.test".to_owned()];
        let tried = Attempts { names: names.to_vec(), failures: 3, next: 77 };
        folder.keep_attempts(&tried).unwrap();
        assert_eq!(folder.attempts(&names), tried);
        assert_eq!(folder.attempts(&["b.test".to_owned()]).failures, 0);
    }

    #[test]
    fn an_account_that_is_damaged_is_no_reason_to_make_another() {
        let dir = tempfile::tempdir().unwrap();
        let folder = folder(dir.path());
        assert!(folder.account().unwrap().is_none());
        folder.keep(ACCOUNT, Ok(b"{".to_vec())).unwrap();
        assert!(folder.account().err().unwrap().to_string().contains("account.json"));
        // A folder that cannot be: there is a file in its place.
        let blocked = Folder { path: folder.path.join(ACCOUNT), ..folder };
        assert!(matches!(blocked.keep_certificate("x"), Err(Error::AcmeFolder { what: "write", .. })));
    }
}
