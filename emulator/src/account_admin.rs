//! IAM's own API, as far as an administrator needs it to let a pod write: OIDC providers, roles and their policies.
//!
//! In: `POST /` of AWS' query protocol, signed by a session of the administrator's role. Out: AWS' XML, and accounts that STS judges tokens by from
//! then on; a role's inline policies decide what AMP allows it. Nothing else may change the account: any other session is refused.
//!
//! Policies are parsed when they are put, and one that this emulator cannot judge is refused as malformed: none is ever stored and ignored.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};

use crate::amp::Amp;
use crate::clock::Clock;
use crate::form::{self, Form};
use crate::front::{Answers, request_id};
use crate::iam::SessionPolicy;
use crate::sessions::Sessions;
use crate::sigv4::Verifier;
use crate::sts::account::AccountBook;
use crate::sts::document::{Element, Format, answer_in};
use crate::sts::{Account, OidcProvider, Role, StsRefusal, TrustPolicy};

const VERSION: &str = "2010-05-08";
const XML: Format = Format::Xml("https://iam.amazonaws.com/doc/2010-05-08/");
/// IAM is global, and its signatures are scoped to this region.
const REGION: &str = "us-east-1";
const QUERIES: [&str; 4] = [
    "aps:QueryMetrics",
    "aps:GetSeries",
    "aps:GetLabels",
    "aps:GetMetricMetadata",
];

/// The API for one account. Clones share what was made.
#[derive(Debug, Clone)]
pub(crate) struct AccountAdmin {
    pub(crate) accounts: AccountBook,
    pub(crate) account: String,
    /// The ARN of the role whose sessions may change the account.
    pub(crate) administrator: String,
    pub(crate) amp: Amp,
    pub(crate) sessions: Sessions,
    pub(crate) clock: Clock,
    made: Arc<Mutex<BTreeMap<String, MadeRole>>>,
}

/// What the API tells about a role beyond what STS knows.
#[derive(Debug, Default, Clone)]
struct MadeRole {
    description: String,
    trust_policy: String,
    /// By name.
    policies: BTreeMap<String, SessionPolicy>,
}

/// Why a call changes nothing.
#[derive(Debug, thiserror::Error)]
enum IamRefusal {
    #[error(transparent)]
    Unauthenticated(#[from] StsRefusal),
    #[error("User: {user} is not authorized to perform: iam:{action}")]
    AccessDenied { user: String, action: String },
    #[error("Could not find operation {0}")]
    InvalidAction(String),
    #[error("1 validation error detected: Value at '{0}' failed to satisfy constraint")]
    Validation(&'static str),
    #[error("{0} already exists.")]
    Exists(String),
    #[error("{0} cannot be found.")]
    Missing(String),
    #[error("{0}")]
    MalformedPolicy(String),
}

// === impl AccountAdmin ===

impl AccountAdmin {
    pub(crate) fn new(
        accounts: AccountBook,
        administrator: String,
        amp: Amp,
        sessions: Sessions,
        clock: Clock,
    ) -> Self {
        Self {
            accounts,
            account: amp.config().account.clone(),
            administrator,
            amp,
            sessions,
            clock,
            made: Arc::default(),
        }
    }

    fn carry_out(
        &self,
        request: &Request<Bytes>,
        form: &Form,
        action: &str,
    ) -> Result<Vec<Element>, IamRefusal> {
        let verifier = Verifier {
            regions: &[REGION.to_owned()],
            service: "iam",
            sessions: &self.sessions,
        };
        let caller = verifier
            .verify(self.clock.now(), request)
            .map_err(|fault| StsRefusal::unauthenticated(&fault))?;
        if caller.role_arn != self.administrator {
            return Err(IamRefusal::AccessDenied {
                user: caller.assumed_role_arn,
                action: action.to_owned(),
            });
        }
        if form.get("Version").is_none_or(|version| version != VERSION) {
            return Err(IamRefusal::InvalidAction(action.to_owned()));
        }
        match action {
            "CreateOpenIDConnectProvider" => self.create_provider(form),
            "GetOpenIDConnectProvider" => self.provider(form),
            "AddClientIDToOpenIDConnectProvider" => self.add_client_id(form),
            "ListOpenIDConnectProviders" => self.providers(),
            "CreateRole" => self.create_role(form),
            "GetRole" => self.role(form),
            "UpdateAssumeRolePolicy" => self.update_trust(form),
            "PutRolePolicy" => self.put_policy(form),
            _ => Err(IamRefusal::InvalidAction(action.to_owned())),
        }
    }

    fn change<T>(
        &self,
        change: impl FnOnce(&mut Account) -> Result<T, IamRefusal>,
    ) -> Result<T, IamRefusal> {
        self.accounts
            .change(&self.account, change)
            .unwrap_or_else(|| Err(IamRefusal::Missing(format!("The account {}", self.account))))
    }

    // --- OIDC providers ---

    fn create_provider(&self, form: &Form) -> Result<Vec<Element>, IamRefusal> {
        let url = field(form, "Url")?.to_owned();
        if !url.starts_with("https://") {
            return Err(IamRefusal::Validation("url"));
        }
        let client_ids = (1..)
            .map_while(|n| form.get(&format!("ClientIDList.member.{n}")))
            .cloned()
            .collect();
        let provider = OidcProvider { url, client_ids };
        self.change(|account| {
            if account.provider(&provider.url).is_some() {
                let url = &provider.url;
                return Err(IamRefusal::Exists(format!("Provider with url {url}")));
            }
            let arn = account.provider_arn(&provider);
            account.providers.push(provider);
            Ok(vec![Element::text("OpenIDConnectProviderArn", arn)])
        })
    }

    fn provider(&self, form: &Form) -> Result<Vec<Element>, IamRefusal> {
        self.change(|account| {
            let at = place(account, form)?;
            let provider = account.providers.get(at).into_iter();
            Ok(provider
                .flat_map(|provider| {
                    let ids = provider.client_ids.iter();
                    let ids = ids.map(|id| Element::text("member", id)).collect();
                    [
                        Element::text("Url", provider.without_scheme()),
                        Element::parent("ClientIDList", ids),
                    ]
                })
                .collect())
        })
    }

    fn add_client_id(&self, form: &Form) -> Result<Vec<Element>, IamRefusal> {
        let id = field(form, "ClientID")?.to_owned();
        self.change(|account| {
            let at = place(account, form)?;
            if let Some(provider) = account.providers.get_mut(at) {
                provider.client_ids.retain(|known| *known != id);
                provider.client_ids.push(id);
            }
            Ok(Vec::new())
        })
    }

    fn providers(&self) -> Result<Vec<Element>, IamRefusal> {
        self.change(|account| {
            let arns = account.providers.iter().map(|provider| {
                let arn = Element::text("Arn", account.provider_arn(provider));
                Element::parent("member", vec![arn])
            });
            Ok(vec![Element::parent(
                "OpenIDConnectProviderList",
                arns.collect(),
            )])
        })
    }

    // --- roles ---

    fn create_role(&self, form: &Form) -> Result<Vec<Element>, IamRefusal> {
        let name = field(form, "RoleName")?;
        let (trust_policy, trust) = trust(form, "AssumeRolePolicyDocument")?;
        self.change(|account| {
            let arn = format!("arn:{}:iam::{}:role/{name}", account.partition, account.id);
            if account.role(&arn).is_some() {
                return Err(IamRefusal::Exists(format!("Role with name {name}")));
            }
            account.roles.push(Role {
                arn,
                max_session: std::time::Duration::from_secs(3600),
                trust,
                may_assume: Vec::new(),
            });
            Ok(())
        })?;
        let made = MadeRole {
            description: form.get("Description").cloned().unwrap_or_default(),
            trust_policy,
            policies: BTreeMap::new(),
        };
        self.made(|all| all.insert(name.to_owned(), made));
        self.role(form)
    }

    fn role(&self, form: &Form) -> Result<Vec<Element>, IamRefusal> {
        let name = field(form, "RoleName")?;
        let made = self.made(|all| all.get(name).cloned());
        let made = made.ok_or_else(|| missing_role(name))?;
        let trust_policy = form_urlencoded::byte_serialize(made.trust_policy.as_bytes());
        // Escaped as in a URL, where a space is not a plus sign.
        let trust_policy = trust_policy.collect::<String>().replace('+', "%20");
        Ok(vec![Element::parent(
            "Role",
            vec![
                Element::text("Path", "/"),
                Element::text("RoleName", name),
                Element::text("Arn", self.arn(name)),
                Element::text("Description", made.description),
                Element::text("AssumeRolePolicyDocument", trust_policy),
            ],
        )])
    }

    fn update_trust(&self, form: &Form) -> Result<Vec<Element>, IamRefusal> {
        let name = field(form, "RoleName")?;
        let (trust_policy, trust) = trust(form, "PolicyDocument")?;
        let arn = self.arn(name);
        self.change(|account| {
            let mut roles = account.roles.iter_mut();
            let role = roles.find(|role| role.arn == arn);
            role.ok_or_else(|| missing_role(name))?.trust = trust;
            Ok(())
        })?;
        self.made(|all| all.entry(name.to_owned()).or_default().trust_policy = trust_policy);
        Ok(Vec::new())
    }

    /// A role's permissions are those of all its inline policies together.
    fn put_policy(&self, form: &Form) -> Result<Vec<Element>, IamRefusal> {
        let name = field(form, "RoleName")?;
        let document = field(form, "PolicyDocument")?;
        let policy = SessionPolicy::parse(Some(document), &[])
            .map_err(|fault| IamRefusal::MalformedPolicy(fault.to_string()))?
            .ok_or(IamRefusal::Validation("policyDocument"))?;
        let policy_name = field(form, "PolicyName")?.to_owned();
        let policies = self.made(|all| {
            let made = all.get_mut(name)?;
            made.policies.insert(policy_name, policy);
            Some(made.policies.clone())
        });
        let policies = policies.ok_or_else(|| missing_role(name))?;
        let workspace = self.amp.arn();
        let may = |action: &str| policies.values().any(|one| one.allows(action, &workspace));
        let query = QUERIES.iter().all(|action| may(action));
        self.amp
            .permit(&self.arn(name), may("aps:RemoteWrite"), query);
        Ok(Vec::new())
    }

    fn arn(&self, role: &str) -> String {
        let partition = self.administrator.split(':').nth(1).unwrap_or("aws");
        format!("arn:{partition}:iam::{}:role/{role}", self.account)
    }

    fn made<T>(&self, with: impl FnOnce(&mut BTreeMap<String, MadeRole>) -> T) -> T {
        with(&mut self.made.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Answers for AccountAdmin {
    async fn answer(&self, request: Request<Bytes>) -> Response<Bytes> {
        let form = match *request.method() {
            Method::POST => form::decoded(request.body()),
            _ => Form::new(),
        };
        let (action, request_id) = (form.get("Action").cloned(), request_id());
        let action = action.unwrap_or_default();
        let (status, envelope) = match self.carry_out(&request, &form, &action) {
            Ok(result) => {
                let envelope = Element::response(&action, result, &request_id);
                (StatusCode::OK, envelope)
            }
            Err(refusal) => {
                let envelope = Element::error(refusal.code(), refusal.to_string(), &request_id);
                (refusal.status(), envelope)
            }
        };
        answer_in(XML, status, &envelope, &request_id)
    }
}

// === impl IamRefusal ===

impl IamRefusal {
    fn code(&self) -> &str {
        match self {
            Self::Unauthenticated(refusal) => refusal.code(),
            Self::AccessDenied { .. } => "AccessDenied",
            Self::InvalidAction(_) => "InvalidAction",
            Self::Validation(_) => "ValidationError",
            Self::Exists(_) => "EntityAlreadyExists",
            Self::Missing(_) => "NoSuchEntity",
            Self::MalformedPolicy(_) => "MalformedPolicyDocument",
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Unauthenticated(refusal) => refusal.status(),
            Self::AccessDenied { .. } => StatusCode::FORBIDDEN,
            Self::Exists(_) => StatusCode::CONFLICT,
            Self::Missing(_) => StatusCode::NOT_FOUND,
            Self::InvalidAction(_) | Self::Validation(_) | Self::MalformedPolicy(_) => {
                StatusCode::BAD_REQUEST
            }
        }
    }
}

fn field<'f>(form: &'f Form, name: &'static str) -> Result<&'f str, IamRefusal> {
    let value = form.get(name).filter(|value| !value.is_empty());
    value
        .map(String::as_str)
        .ok_or(IamRefusal::Validation(name))
}

fn missing_role(name: &str) -> IamRefusal {
    IamRefusal::Missing(format!("The role with name {name}"))
}

/// Where the provider is that the form names.
fn place(account: &Account, form: &Form) -> Result<usize, IamRefusal> {
    let arn = field(form, "OpenIDConnectProviderArn")?;
    let mut providers = account.providers.iter();
    providers
        .position(|provider| account.provider_arn(provider) == arn)
        .ok_or_else(|| IamRefusal::Missing(format!("OpenIDConnect Provider {arn}")))
}

fn trust(form: &Form, name: &'static str) -> Result<(String, TrustPolicy), IamRefusal> {
    let document = field(form, name)?;
    let trust = TrustPolicy::parse(document)
        .map_err(|error| IamRefusal::MalformedPolicy(error.to_string()))?;
    Ok((document.to_owned(), trust))
}
