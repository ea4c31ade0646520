//! Where a node keeps its certificate with its key, and which token it came by.

use std::fs;
use std::io;
use std::path::PathBuf;

use crate::files;
use crate::log::Chain;
use crate::tls::Identity;

/// Only the owner may read what is in it.
#[derive(Debug)]
pub(super) struct Folder(pub(super) PathBuf);

impl Folder {
    /// The certificate that was kept last, or `None` where there is nothing usable; the latter is said.
    pub(super) fn identity(&self) -> Option<Identity> {
        let path = self.0.join(IDENTITY);
        let read = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            read => read.and_then(|pem| Identity::from_pem(&pem)),
        };
        let path = path.display();
        read.inspect_err(|error| tracing::warn!("the identity in {path} is not used: {}", Chain(error))).ok()
    }

    /// Certificate, authority and key go into one file, so that they are always each other's.
    pub(super) fn keep(&self, pem: &str) -> io::Result<()> {
        files::write(&self.0.join(IDENTITY), pem.as_bytes())
    }

    /// Whether the token with this hash was used to enrol.
    pub(super) fn has_used(&self, hash: &str) -> bool {
        fs::read_to_string(self.0.join(TOKEN)).is_ok_and(|kept| kept.trim() == hash)
    }

    /// From now on it has.
    pub(super) fn use_up(&self, hash: &str) -> io::Result<()> {
        files::write(&self.0.join(TOKEN), hash.as_bytes())
    }
}

const IDENTITY: &str = "identity.pem";
/// The hash of the token that was used, so that the configuration may go on naming it.
const TOKEN: &str = "token.sha256";

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_is_kept_is_there_again_and_only_for_its_owner() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder(dir.path().join("made/identity"));
        assert!(folder.identity().is_none() && !folder.has_used("aa"));
        let [own, other] =
            ["a.test", "b.test"].map(|name| rcgen::generate_simple_self_signed([name.to_owned()]).unwrap());
        let pem =
            |key: &rcgen::KeyPair| format!("{}{}{}", own.cert.pem(), other.cert.pem(), key.serialize_pem());
        folder.keep(&pem(&own.signing_key)).unwrap();
        folder.use_up("aa").unwrap();
        assert_eq!(folder.identity().unwrap().authorities(), [other.cert.der().clone()]);
        assert!(folder.has_used("aa") && !folder.has_used("bb"));
        let mode = fs::metadata(folder.0.join(IDENTITY)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        // With the key of another, or cut off, it is as good as none.
        folder.keep(&pem(&other.signing_key)).unwrap();
        assert!(folder.identity().is_none());
        folder.keep(&pem(&own.signing_key)[..500]).unwrap();
        assert!(folder.identity().is_none());
    }
}
