//! Tokens that say by their beginning what they are.

use super::expression;
use regex::Regex;

const WORD: &str = "[A-Za-z0-9_-]";

/// The beginning of a token, and how many characters of which kind follow at least.
const PREFIXES: [(&str, &str, u32); 80] = [
    ("ghp_", "", 20),
    ("gho_", "", 20),
    ("ghu_", "", 20),
    ("ghs_", "", 20),
    ("ghr_", "", 20),
    ("github_pat_", WORD, 20),
    ("glpat-", WORD, 16),
    ("gldt-", WORD, 16),
    ("glrt-", WORD, 16),
    ("glptt-", WORD, 16),
    ("glcbt-", WORD, 16),
    ("glsoat-", WORD, 16),
    ("glft-", WORD, 16),
    ("glimt-", WORD, 16),
    ("gloas-", WORD, 16),
    ("glagent-", WORD, 16),
    ("glffct-", WORD, 16),
    ("xoxa-", WORD, 10),
    ("xoxb-", WORD, 10),
    ("xoxc-", WORD, 10),
    ("xoxd-", "[A-Za-z0-9_%+/=-]", 10),
    ("xoxe-", WORD, 10),
    ("xoxe.xoxp-", WORD, 10),
    ("xoxo-", WORD, 10),
    ("xoxp-", WORD, 10),
    ("xoxr-", WORD, 10),
    ("xoxs-", WORD, 10),
    ("xapp-", WORD, 10),
    ("hooks.slack.com/services/", "[A-Za-z0-9/_-]", 20),
    ("hooks.slack.com/workflows/", "[A-Za-z0-9/_-]", 20),
    ("api/webhooks/", "[A-Za-z0-9/_-]", 30),
    ("sk_live_", "", 10),
    ("sk_test_", "", 10),
    ("rk_live_", "", 10),
    ("rk_test_", "", 10),
    ("whsec_", "[A-Za-z0-9+/=]", 16),
    ("hvs.", WORD, 20),
    ("hvb.", WORD, 20),
    ("hvr.", WORD, 20),
    ("AGE-SECRET-KEY-", "[A-Z0-9-]", 20),
    ("tskey-", WORD, 10),
    ("AIza", WORD, 30),
    ("GOCSPX-", WORD, 20),
    ("ya29.", WORD, 20),
    ("npm_", "", 30),
    ("pypi-", WORD, 30),
    ("rubygems_", "", 30),
    ("dop_v1_", "", 30),
    ("doo_v1_", "", 30),
    ("dor_v1_", "", 30),
    ("hf_", "", 30),
    ("dckr_pat_", WORD, 20),
    ("dckr_oat_", WORD, 20),
    ("dp.pt.", "", 30),
    ("dp.st.", "[A-Za-z0-9._-]", 30),
    ("dp.ct.", "", 30),
    ("SG.", "[A-Za-z0-9._-]", 40),
    ("sk-ant-", WORD, 20),
    ("sk-proj-", WORD, 20),
    ("sk-or-", WORD, 20),
    ("sk-svcacct-", WORD, 20),
    ("sk-admin-", WORD, 20),
    ("sk-", "", 32),
    ("shpat_", "", 20),
    ("shpss_", "", 20),
    ("lin_api_", "", 20),
    ("figd_", WORD, 20),
    ("ATATT3", "[A-Za-z0-9_=-]", 20),
    ("glsa_", WORD, 20),
    ("glc_", "[A-Za-z0-9+/=]", 20),
    ("nvapi-", WORD, 20),
    ("sbp_", "", 30),
    ("nfp_", "", 30),
    ("pul-", "[0-9a-f]", 40),
    ("gsk_", "", 30),
    ("sntrys_", "[A-Za-z0-9_+/=]", 20),
    ("sntryu_", "", 20),
    ("PMAK-", WORD, 20),
    ("NRAK-", "[A-Z0-9]", 20),
    ("syt_", "[A-Za-z0-9_]", 20),
];

/// Tokens whose form is their mark: a JSON web token or key, an access key of AWS, a bot of Telegram.
const FORMS: [(&str, &str); 4] = [
    ("eyJ", r"eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){2,4}"),
    ("AKIA", r"AKIA[A-Z0-9]{16}(?-u:\b)"),
    ("ASIA", r"ASIA[A-Z0-9]{16}(?-u:\b)"),
    (":AA", r"[0-9]{8,12}:AA[A-Za-z0-9_-]{30,}"),
];

/// The beginnings, by which a line is known to have to be looked at.
pub(super) fn marks() -> impl Iterator<Item = &'static str> {
    let prefixes = PREFIXES.iter().map(|(prefix, _, _)| *prefix);
    prefixes.chain(FORMS.iter().map(|(mark, _)| *mark))
}

/// All of them as one expression, whose first group is the token.
pub(super) fn tokens() -> Result<Regex, regex::Error> {
    let prefixes = PREFIXES.iter().map(|(prefix, class, least)| {
        let class = if class.is_empty() {
            "[A-Za-z0-9]"
        } else {
            class
        };
        format!("{}{class}{{{least},}}", regex::escape(prefix))
    });
    let forms = FORMS.iter().map(|(_, form)| (*form).to_owned());
    let all: Vec<_> = prefixes.chain(forms).collect();
    expression(&format!("(?:^|bot|[^A-Za-z0-9])({})", all.join("|")))
}
