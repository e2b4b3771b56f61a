//! How the shipped languages say days, hours and minutes.

use icu_plurals::PluralCategory::{self, Few, Many, One, Other, Two};

/// The words by plural category, the last one for all others; `#` is the number.
type Forms = &'static [(PluralCategory, &'static str)];

/// By language: days, hours, minutes.
const UNITS: &[(&str, [Forms; 3])] = &[
    (
        "en",
        [
            &[(One, "# day"), (Other, "# days")],
            &[(One, "# hour"), (Other, "# hours")],
            &[(One, "# minute"), (Other, "# minutes")],
        ],
    ),
    (
        "de",
        [
            &[(One, "# Tag"), (Other, "# Tage")],
            &[(One, "# Stunde"), (Other, "# Stunden")],
            &[(One, "# Minute"), (Other, "# Minuten")],
        ],
    ),
    (
        "fr",
        [
            &[(One, "# jour"), (Other, "# jours")],
            &[(One, "# heure"), (Other, "# heures")],
            &[(One, "# minute"), (Other, "# minutes")],
        ],
    ),
    (
        "es",
        [
            &[(One, "# día"), (Other, "# días")],
            &[(One, "# hora"), (Other, "# horas")],
            &[(One, "# minuto"), (Other, "# minutos")],
        ],
    ),
    ("ja", [&[(Other, "#日")], &[(Other, "#時間")], &[(Other, "#分")]]),
    (
        "ar",
        [
            &[
                (One, "يوم واحد"),
                (Two, "يومان"),
                (Few, "# أيام"),
                (Many, "# يومًا"),
                (Other, "# يوم"),
            ],
            &[
                (One, "ساعة واحدة"),
                (Two, "ساعتان"),
                (Few, "# ساعات"),
                (Many, "# ساعة"),
                (Other, "# ساعة"),
            ],
            &[
                (One, "دقيقة واحدة"),
                (Two, "دقيقتان"),
                (Few, "# دقائق"),
                (Many, "# دقيقة"),
                (Other, "# دقيقة"),
            ],
        ],
    ),
];

/// The symbols that every language uses beside the SI units (SI brochure, table 8).
const SYMBOLS: [Forms; 3] = [&[(Other, "# d")], &[(Other, "# h")], &[(Other, "# min")]];

/// `3 days`; the units are counted from 0: days, hours, minutes.
pub(super) fn say(language: &str, unit: usize, category: PluralCategory, number: &str) -> String {
    let units = UNITS.iter().find(|(of, _)| *of == language).map_or(SYMBOLS, |(_, forms)| *forms);
    let forms = units[unit];
    let form = forms.iter().find(|(of, _)| *of == category).or(forms.last());
    form.map_or_else(String::new, |(_, form)| form.replace('#', number))
}

/// What stands between two of them.
pub(super) fn between(language: &str) -> &'static str {
    match language {
        "ja" => "",
        "ar" => " و",
        _ => " ",
    }
}
