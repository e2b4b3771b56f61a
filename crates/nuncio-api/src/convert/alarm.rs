//! Alarms and their types.

use nuncio_core::alarm::kind::{AlarmType, Condition};

use crate::convert::time::duration;
use crate::v1;

/// What stands before the id of a type in its name.
pub const TYPE_NAME_PREFIX: &str = "alarmTypes/";

impl From<AlarmType> for v1::AlarmType {
    fn from(one: AlarmType) -> Self {
        Self {
            name: format!("{TYPE_NAME_PREFIX}{}", one.id),
            display_name: one.display_name,
            category: v1::AlarmCategory::from(one.category).into(),
            severity: v1::AlarmSeverity::from(one.severity).into(),
            status: v1::AlarmTypeStatus::from(one.status).into(),
            description: one.description,
            suggested_action: one.suggested_action,
            user_defined: false,
            mail_path: one.is_mail_path,
            condition: one.condition.map(v1::AlarmCondition::from),
            recipients: one.recipients.iter().map(ToString::to_string).collect(),
            recipient_groups: one.recipient_groups,
            from_address: one.from.map(|from| from.to_string()).unwrap_or_default(),
            custom_text: one.custom_text,
            repeat_interval: one.repeat_interval.map(duration),
            etag: String::new(),
            changed: false,
        }
    }
}

impl From<Condition> for v1::AlarmCondition {
    fn from(condition: Condition) -> Self {
        let Condition { measure, operator, value, window } = condition;
        Self {
            measure: v1::AlarmMeasure::from(measure).into(),
            operator: v1::AlarmOperator::from(operator).into(),
            value,
            window: Some(duration(window)),
        }
    }
}
