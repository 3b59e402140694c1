//! These variables of the environment say where `install!` pushes profiles to.
//!
//! Path: *read path*; read once.

use super::{Push, PushBuilder};
use crate::environment::variable;
use crate::standard_error::{tell, warn};

/// The variable that holds the URL. Without it, the others have no meaning.
const URL_VARIABLE: &str = "PPROF_PUSH";
const LABELS_VARIABLE: &str = "PPROF_PUSH_LABELS";
const EVERY_VARIABLE: &str = "PPROF_PUSH_EVERY";
const TENANT_VARIABLE: &str = "PPROF_PUSH_TENANT";
const USER_VARIABLE: &str = "PPROF_PUSH_USER";
const PASSWORD_VARIABLE: &str = "PPROF_PUSH_PASSWORD";
const TOKEN_VARIABLE: &str = "PPROF_PUSH_TOKEN";
const CPU_VARIABLE: &str = "PPROF_PUSH_CPU";
const PROTOCOL_VARIABLE: &str = "PPROF_PUSH_PROTOCOL";

/// Begins to push if the environment names an engine. What will not do is told in a line, and the program goes on.
pub(crate) fn start_from_env() -> Option<Push> {
    let url = variable(URL_VARIABLE)?;
    let started =
        builder(url, variable).and_then(|builder| builder.start().map_err(|error| error.to_string()));
    match started {
        Ok(push) => {
            tell(&format!("profiles are pushed to {}", push.uri()));
            Some(push)
        }
        Err(error) => {
            warn(&format!("no profiles are pushed ({URL_VARIABLE}): {error}"));
            None
        }
    }
}

/// The builder with what the variables say.
fn builder(url: String, variable: impl Fn(&str) -> Option<String>) -> Result<PushBuilder, String> {
    let mut builder = Push::builder(url);
    for label in variable(LABELS_VARIABLE).iter().flat_map(|labels| labels.split(',')) {
        let Some((name, value)) = label.split_once('=') else {
            return Err(format!(
                "{LABELS_VARIABLE}: {label:?} is no label; labels look like version=v2,zone=a"
            ));
        };
        builder = builder.label(name.trim(), value.trim());
    }
    if let Some(text) = variable(EVERY_VARIABLE) {
        let Ok(every) = humantime::parse_duration(&text) else {
            return Err(format!("{EVERY_VARIABLE}={text:?} is no time such as 15s"));
        };
        builder = builder.every(every);
    }
    if let Some(tenant) = variable(TENANT_VARIABLE) {
        builder = builder.tenant(tenant);
    }
    match (variable(USER_VARIABLE), variable(PASSWORD_VARIABLE), variable(TOKEN_VARIABLE)) {
        (None, None, None) => {}
        (Some(user), Some(password), None) => builder = builder.basic_auth(user, password),
        (None, None, Some(token)) => builder = builder.bearer_token(token),
        _ => {
            return Err(format!("set {USER_VARIABLE} and {PASSWORD_VARIABLE}, or {TOKEN_VARIABLE} alone"));
        }
    }
    if variable(CPU_VARIABLE).is_some_and(|value| value == "off") {
        builder = builder.without_cpu();
    }
    match variable(PROTOCOL_VARIABLE).as_deref() {
        None | Some("pyroscope") => {}
        #[cfg(feature = "push-otlp")]
        Some("otlp") => builder = builder.otlp(),
        #[cfg(not(feature = "push-otlp"))]
        Some("otlp") => {
            return Err(format!("{PROTOCOL_VARIABLE}=otlp needs the feature push-otlp of pprof-server"));
        }
        Some(other) => return Err(format!("{PROTOCOL_VARIABLE}={other:?} is neither pyroscope nor otlp")),
    }
    Ok(builder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(variables: &[(&str, &str)]) -> Result<String, String> {
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        builder("http://pyroscope:4040".to_owned(), variable).map(|builder| format!("{builder:?}"))
    }

    #[test]
    fn variables_are_settings() {
        let all = [
            (LABELS_VARIABLE, "service_name=shop, version=a=b"),
            (EVERY_VARIABLE, "1m"),
            (TENANT_VARIABLE, "team-a"),
            (TOKEN_VARIABLE, "0123"),
            (CPU_VARIABLE, "off"),
        ];
        let text = made(&all).unwrap();
        for part in [
            r#"labels: [("service_name", "shop"), ("version", "a=b")]"#,
            "every: 60s",
            "protocol: Pyroscope",
            r#"tenant: Some("team-a")"#,
            "has_authorization: true",
            "has_cpu: false",
        ] {
            assert!(text.contains(part), "{text}");
        }
        let usual = made(&[]).unwrap();
        for part in ["labels: []", "every: 15s", "tenant: None", "has_authorization: false", "has_cpu: true"]
        {
            assert!(usual.contains(part), "{usual}");
        }
        let otlp = made(&[(PROTOCOL_VARIABLE, "otlp")]);
        if cfg!(feature = "push-otlp") {
            assert!(otlp.unwrap().contains("protocol: Otlp"));
        } else {
            assert!(otlp.unwrap_err().contains("push-otlp"));
        }
        assert!(
            made(&[(USER_VARIABLE, "a"), (PASSWORD_VARIABLE, "b")])
                .unwrap()
                .contains("has_authorization: true")
        );
    }

    #[test]
    fn what_is_no_setting_is_named() {
        for (variables, expected) in [
            (&[(LABELS_VARIABLE, "version")][..], r#"PPROF_PUSH_LABELS: "version" is no label"#),
            (&[(EVERY_VARIABLE, "soon")], r#"PPROF_PUSH_EVERY="soon" is no time"#),
            (&[(USER_VARIABLE, "a")], "PPROF_PUSH_PASSWORD"),
            (&[(PROTOCOL_VARIABLE, "grpc")], r#"PPROF_PUSH_PROTOCOL="grpc" is neither"#),
            (
                &[(USER_VARIABLE, "a"), (PASSWORD_VARIABLE, "b"), (TOKEN_VARIABLE, "c")],
                "PPROF_PUSH_TOKEN alone",
            ),
        ] {
            let text = made(variables).unwrap_err();
            assert!(text.contains(expected), "{text}");
        }
    }
}
