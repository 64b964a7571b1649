//! Proof of the namespace's key: HMAC-SHA-256 (RFC 2104, FIPS 180-4) over both hellos.
//!
//! Each hello holds a number that its sender drew for this session, so a proof is good for one session only, and for one
//! direction: the prover's hello comes first. Replayed or reflected, it proves nothing.

use crdt_core::Namespace;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// Half of the hash: 128 bits, as many as the key has.
pub(crate) const PROOF_BYTES: usize = 16;

/// What whoever sent `own` in answer to `other` has to show.
fn mac(namespace: &Namespace, own: &[u8], other: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::new_from_slice(namespace.key()).expect("a key may have any length");
    mac.update(b"rejoin proof 1\0");
    mac.update(namespace.id());
    mac.update(&(own.len() as u64).to_le_bytes());
    mac.update(own);
    mac.update(other);
    mac
}

/// The proof of the side that sent `own` and received `other`.
pub(crate) fn prove(namespace: &Namespace, own: &[u8], other: &[u8]) -> [u8; PROOF_BYTES] {
    let whole = mac(namespace, own, other).finalize().into_bytes();
    let mut proof = [0; PROOF_BYTES];
    proof.copy_from_slice(&whole[..PROOF_BYTES]);
    proof
}

/// Checks the proof of the side that sent `theirs` and received `ours`, in constant time.
pub(crate) fn is_proven(
    namespace: &Namespace,
    theirs: &[u8],
    ours: &[u8],
    proof: &[u8; PROOF_BYTES],
) -> bool {
    mac(namespace, theirs, ours).verify_truncated_left(proof).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_is_of_one_key_one_session_and_one_direction() {
        let team = Namespace::from_secret("team");
        let proof = prove(&team, b"hello 1", b"hello 2");
        assert!(is_proven(&team, b"hello 1", b"hello 2", &proof));
        assert!(!is_proven(&team, b"hello 2", b"hello 1", &proof), "reflected");
        assert!(!is_proven(&team, b"hello 1", b"hello 3", &proof), "replayed to another challenge");
        assert!(!is_proven(&team, b"hello 1h", b"ello 2", &proof), "cut elsewhere");
        let wrong_key = Namespace::from_parts(*team.id(), [7; 16]);
        assert!(!is_proven(&wrong_key, b"hello 1", b"hello 2", &proof));
    }
}
