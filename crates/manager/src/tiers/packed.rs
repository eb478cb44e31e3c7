//! Values with tags, in tiers that know nothing of tags.

use bytes::Bytes;
use larder_core::stored::{Envelope, Unreadable};

/// A value, its tags, and what those stood at when it was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Packed {
    pub(super) value: Bytes,
    pub(super) tags: Vec<String>,
    pub(super) stamp: Option<u64>,
}

impl Packed {
    /// The stored form: the bare value if nothing is said of it.
    pub(super) fn to_bytes(&self) -> Bytes {
        let mut envelope = Envelope::new(self.value.clone());
        envelope.tags.clone_from(&self.tags);
        envelope.generation = self.stamp;
        envelope.to_bytes()
    }

    pub(super) fn read(stored: Bytes) -> Result<Self, Unreadable> {
        let envelope = Envelope::read(stored)?;
        Ok(Self {
            value: envelope.payload,
            tags: envelope.tags,
            stamp: envelope.generation,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_tags_stays_as_it_is_whatever_it_looks_like() {
        let bare = |value: Bytes| Packed {
            value,
            tags: Vec::new(),
            stamp: None,
        };
        assert_eq!(bare("42".into()).to_bytes(), "42");
        let tagged = Packed {
            tags: vec!["a".to_owned()],
            stamp: Some(7),
            ..bare("value".into())
        };
        let like_one = bare(tagged.to_bytes());
        for packed in [tagged, like_one, bare("".into())] {
            assert_eq!(Packed::read(packed.to_bytes()), Ok(packed));
        }
    }
}
