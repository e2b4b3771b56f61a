//! Field masks: which fields of a message an update changes (AIP-134, AIP-161).

use nuncio_core::violation::Violations;

/// The most paths of a mask that are read.
const PATHS_MAX: usize = 100;

/// Which fields of a message an update changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mask {
    /// Those that are not empty.
    Given,
    All,
    Only(Vec<&'static str>),
}

/// A message that is updated field by field.
pub trait Masked: Default {
    /// The fields that a caller may set; `name` and `etag`, and what is output only, are none of them.
    const FIELDS: &'static [&'static str];

    /// Takes over a field; one that is not among [`Self::FIELDS`] is left.
    fn take(&mut self, field: &str, from: &mut Self);

    /// Whether a field is not empty.
    fn is_given(&self, field: &str) -> bool;
}

impl Mask {
    /// The mask of a request; what is no field is noted under `update_mask`.
    pub fn read<M: Masked>(
        violations: &mut Violations,
        mask: Option<prost_types::FieldMask>,
    ) -> Self {
        let paths = mask.unwrap_or_default().paths;
        if paths.is_empty() {
            return Self::Given;
        }
        if PATHS_MAX < paths.len() {
            violations.add("update_mask", format!("{} paths; at most {PATHS_MAX}", paths.len()));
        }
        if paths.iter().any(|path| path == "*") {
            return Self::All;
        }
        let mut fields = Vec::new();
        for path in paths.iter().take(PATHS_MAX) {
            let known = M::FIELDS.iter().copied().find(|field| field == path);
            let problem = || {
                let shown: String = path.chars().filter(|c| !c.is_control()).take(64).collect();
                format!("`{shown}` is no field to change; there are: {}", M::FIELDS.join(", "))
            };
            fields.extend(violations.check("update_mask", known.ok_or_else(problem)));
        }
        Self::Only(fields)
    }

    /// The message after the update: the given one with the present one in all fields that do not change.
    pub fn merge<M: Masked>(&self, mut given: M, present: impl FnOnce() -> M) -> M {
        if *self == Self::All {
            return given;
        }
        let mut merged = present();
        for field in M::FIELDS {
            let changes = match self {
                Self::Given => given.is_given(field),
                Self::All => true,
                Self::Only(fields) => fields.contains(field),
            };
            if changes {
                merged.take(field, &mut given);
            }
        }
        merged
    }
}

/// Lists the fields of a message that a caller may set.
macro_rules! masked {
    ($message:ident: $($field:ident),+ $(,)?) => {
        impl $crate::convert::field_mask::Masked for $crate::v1::$message {
            const FIELDS: &'static [&'static str] = &[$(stringify!($field)),+];

            fn take(&mut self, field: &str, from: &mut Self) {
                match field {
                    $(stringify!($field) => self.$field = std::mem::take(&mut from.$field),)+
                    _other => {}
                }
            }

            fn is_given(&self, field: &str) -> bool {
                let empty = Self::default();
                match field {
                    $(stringify!($field) => self.$field != empty.$field,)+
                    _other => false,
                }
            }
        }
    };
}
pub(crate) use masked;

#[cfg(test)]
mod tests;
