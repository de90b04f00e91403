//! The route table: every route of every door is a row, and nothing else is mounted.
//!
//! A row names its action (or says that it is open to everybody, and why), its shapes, and the function that turns the
//! request into a use case. The OpenAPI document, the isolation matrix and the dispatcher all read the same rows.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bailiwick_app::{Answer, AppError, PlatformUseCase, UseCase};
use bailiwick_types::{Action, ActionType, Plane};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;

use crate::call::Call;
use crate::reply::Reply;

/// Which protocol a route speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DoorKind {
    /// The native API.
    Api,
    /// The Vault protocol.
    Vault,
    /// Health and the like.
    Operations,
}

/// Who may call a route at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Whoever holds a credential of the action's plane and is permitted the action.
    Action(Action),
    /// Everybody; the text says why that is safe.
    Open(&'static str),
}

/// A query parameter.
#[derive(Debug, Clone, Copy)]
pub struct Query {
    /// Its name.
    pub name: &'static str,
    /// One line for people.
    pub about: &'static str,
}

type Boxed = Pin<Box<dyn Future<Output = Result<Reply, AppError>> + Send>>;
type Shape = fn(&mut SchemaGenerator) -> Schema;

/// One row of the table.
pub struct Route {
    /// Which protocol.
    pub door: DoorKind,
    /// The HTTP method; Vault's `LIST` is one.
    pub method: &'static str,
    /// The path, with `{name}` for a segment and `{*name}` for the rest. A trailing `/` names a folder.
    pub path: &'static str,
    /// Who may call it.
    pub access: Access,
    /// One line for people.
    pub summary: &'static str,
    /// The status of its success.
    pub status: u16,
    /// The query parameters that it knows; others are refused.
    pub query: Vec<Query>,
    /// The shape of its body.
    pub body: Option<Shape>,
    /// The shape of its answer; absent for what is not JSON.
    pub answer: Option<Shape>,
    /// Whether its body is not JSON but a stream of any length, which the handler takes in once it knows who sends it.
    pub is_upload: bool,
    pub(crate) handler: Arc<dyn Fn(Call) -> Boxed + Send + Sync>,
}

impl Route {
    /// A stable name: door, method and path.
    pub fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// Method, path and action, or `open`: what an attestation's hash of the table is made of.
    pub fn line(&self) -> String {
        match self.access {
            Access::Action(action) => format!("{} {} {action}", self.method, self.path),
            Access::Open(_) => format!("{} {} open", self.method, self.path),
        }
    }

    /// A route of a use case of the tenant plane that answers with JSON.
    pub(crate) fn tenant<U>(method: &'static str, path: &'static str, input: fn(&Call) -> Result<U, AppError>) -> Self
    where
        U: UseCase + 'static,
        U::Reply: Serialize + JsonSchema + 'static,
    {
        let mut route = Self::tenant_as(method, path, input, |_, answer| Reply::json(answer));
        route.answer = Some(|generator| generator.subschema_for::<U::Reply>());
        route
    }

    /// A route of a use case of the tenant plane, with an answer of its own making.
    pub(crate) fn tenant_as<U>(
        method: &'static str,
        path: &'static str,
        input: fn(&Call) -> Result<U, AppError>,
        show: fn(&Call, Answer<U::Reply>) -> Result<Reply, AppError>,
    ) -> Self
    where
        U: UseCase + 'static,
        U::Reply: 'static,
    {
        Self::new(method, path, Access::Action(U::Action::ACTION), U::Action::ACTION.summary(), move |call| {
            Box::pin(async move {
                let answer = call.app().run(call.meta(), || checked(&call, input)).await?;
                show(&call, answer)
            })
        })
    }

    /// A route of a use case of the platform plane that answers with JSON.
    pub(crate) fn platform<U>(method: &'static str, path: &'static str, input: fn(&Call) -> Result<U, AppError>) -> Self
    where
        U: PlatformUseCase + 'static,
        U::Reply: Serialize + JsonSchema + 'static,
    {
        let action = U::Action::ACTION;
        let mut route = Self::new(method, path, Access::Action(action), action.summary(), move |call| {
            Box::pin(async move {
                let answer = call.app().run_platform(call.meta(), || checked(&call, input)).await?;
                Reply::json(answer)
            })
        });
        route.answer = Some(|generator| generator.subschema_for::<U::Reply>());
        route
    }

    /// A route whose handler is a function of its own.
    pub(crate) fn new(
        method: &'static str,
        path: &'static str,
        access: Access,
        summary: &'static str,
        handler: impl Fn(Call) -> Boxed + Send + Sync + 'static,
    ) -> Self {
        let door = if path.starts_with("/v1/") {
            DoorKind::Vault
        } else if path.starts_with("/api/") {
            DoorKind::Api
        } else {
            DoorKind::Operations
        };
        Self {
            door,
            method,
            path,
            access,
            summary,
            status: 200,
            query: Vec::new(),
            body: None,
            answer: None,
            is_upload: false,
            handler: Arc::new(handler),
        }
    }

    /// A success is answered with 201.
    pub(crate) fn creates(mut self) -> Self {
        self.status = 201;
        self
    }

    /// It takes a stream.
    pub(crate) fn uploads(mut self) -> Self {
        self.is_upload = true;
        self
    }

    /// It takes a body of this shape.
    pub(crate) fn takes<B: JsonSchema>(mut self) -> Self {
        self.body = Some(|generator| generator.subschema_for::<B>());
        self
    }

    /// It takes these query parameters.
    pub(crate) fn query(mut self, query: &[(&'static str, &'static str)]) -> Self {
        self.query.extend(query.iter().map(|(name, about)| Query { name, about }));
        self
    }

    /// It answers in pages.
    pub(crate) fn paged(self) -> Self {
        self.query(&[
            ("limit", "items on the page, 1 to 1,000 (default 100)"),
            ("cursor", "the cursor that the page before ended with"),
        ])
    }

    /// Whether it is mounted on the operations listener and nowhere else.
    pub fn is_for_operations_only(&self) -> bool {
        self.path == crate::operations::METRICS
    }

    /// On which plane it acts.
    pub fn plane(&self) -> Option<Plane> {
        match self.access {
            Access::Action(action) => Some(action.plane()),
            Access::Open(_) => None,
        }
    }
}

/// Reads the input, once it is known who asks.
fn checked<U>(call: &Call, input: fn(&Call) -> Result<U, AppError>) -> Result<U, AppError> {
    call.check_query()?;
    let input = input(call)?;
    call.check_conditions()?;
    Ok(input)
}
