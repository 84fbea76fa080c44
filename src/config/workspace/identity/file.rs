//! Reads where keys are: in a profile of AWS' shared credentials file, or, if that is asked for, in the environment.
//!
//! Keys in the environment never change, so nobody rotates them: they take a switch of their own, and a warning that stays.

use crate::aws_keys::{AwsKeys, KeyTexts};
use crate::config::model::{ProfileConfig, SourceConfig};
use crate::config::other_credentials::KindOfCredentials;
use crate::config::settings;
use crate::config::sources::Sources;

const ACCESS_KEY_ID: &str = "AWS_ACCESS_KEY_ID";
const SECRET_ACCESS_KEY: &str = "AWS_SECRET_ACCESS_KEY";
const SESSION_TOKEN: &str = "AWS_SESSION_TOKEN";

pub(super) fn read(sources: &mut Sources<'_>) -> Option<SourceConfig> {
    if sources.read(&settings::ALLOW_STATIC_KEYS)? {
        let expected = "no value, or no --allow-static-keys, which takes the keys from the environment and reads no file";
        sources.refuse(&settings::SHARED_CREDENTIALS_FILE, expected);
        sources.refuse(&settings::PROFILE, expected);
        return keys(sources).map(SourceConfig::StaticKeys);
    }
    let expected = "the path of the credentials file that an agent keeps up to date, for example /root/.aws/credentials of the SSM agent; keys in the environment need --allow-static-keys instead";
    let file = sources.read_required(&settings::SHARED_CREDENTIALS_FILE, expected);
    let profile = sources.read(&settings::PROFILE);
    let signs = "the credentials file of --credentials file holds the keys";
    sources.warn_of_others(KindOfCredentials::Profile, signs);
    Some(SourceConfig::File(ProfileConfig {
        file: file?,
        profile: profile?,
    }))
}

fn keys(sources: &mut Sources<'_>) -> Option<AwsKeys> {
    let variable = |name| {
        let text = (sources.environment.env)(name).map(|text| text.trim().to_owned());
        text.filter(|text| !text.is_empty())
    };
    let [id, secret, token] = [ACCESS_KEY_ID, SECRET_ACCESS_KEY, SESSION_TOKEN].map(variable);
    let texts = KeyTexts {
        access_key_id: (ACCESS_KEY_ID, id.as_deref().unwrap_or_default()),
        secret_access_key: (SECRET_ACCESS_KEY, secret.as_deref().unwrap_or_default()),
        session_token: (SESSION_TOKEN, token.as_deref()),
    };
    match AwsKeys::checked(texts) {
        Ok(keys) => {
            let words = "static keys sign, as --allow-static-keys says: nobody rotates them, and anyone who sees them can use them until they are deleted; use another source of --credentials as soon as you can";
            sources.warn_of_variable(ACCESS_KEY_ID, words);
            let signs = "static keys sign, as --allow-static-keys says";
            sources.warn_of_others(KindOfCredentials::StaticKeys, signs);
            Some(keys)
        }
        Err(fault) => {
            let expected = "the keys of an IAM user or session in AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, if temporary, AWS_SESSION_TOKEN";
            sources.error(
                &settings::ALLOW_STATIC_KEYS,
                &format!("{expected}; {fault}"),
            );
            None
        }
    }
}
