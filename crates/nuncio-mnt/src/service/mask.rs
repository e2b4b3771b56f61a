//! Field masks: what is not named stays as it was (AIP-134).

use nuncio_api::v1;
use nuncio_core::violation::Violations;
use prost_types::FieldMask;

/// Copies the named fields of one message into another; an empty mask names all.
macro_rules! merge {
    ($name:ident, $message:ty: $($field:ident),+ $(,)?) => {
        pub(super) fn $name(
            violations: &mut Violations,
            present: $message,
            given: $message,
            mask: Option<&FieldMask>,
        ) -> $message {
            let Some(mask) = mask.filter(|mask| !mask.paths.is_empty()) else { return given };
            let mut merged = present;
            for (index, path) in mask.paths.iter().enumerate() {
                match path.as_str() {
                    $(stringify!($field) => merged.$field = given.$field.clone(),)+
                    unknown => {
                        let shown: String = unknown.chars().take(64).collect();
                        let known = [$(stringify!($field)),+].join(", ");
                        let problem = format!("`{shown}` cannot be changed; known: {known}");
                        violations.add(format!("update_mask.paths[{index}]"), problem);
                    }
                }
            }
            merged
        }
    };
}

merge!(merge_type, v1::AlarmType:
    display_name, category, severity, status, description, suggested_action, mail_path, condition,
    recipients, recipient_groups, from_address, custom_text, repeat_interval,
);

merge!(merge_settings, v1::AlarmSettings:
    enabled, from_address, recipients, recipient_groups, include_administrators, locale, time_zone,
    group_by, group_wait, group_interval, repeat_interval, send_resolved, limit, critical_limit,
    digest_interval, flapping, inhibitions, retention,
);
