//! Strict revocation: once it is acknowledged, no request completes under the old state, those in flight included.
//!
//! # What "completes" means, and how it is judged
//! A request completes when its entry is durable; its answer exists only then. Which entry was durable before which is
//! read from the database itself: one engine commits all tenants' entries in one order. So nothing here depends on how
//! threads or packets were scheduled: *in that order, no success of the revoked stands after the revocation.* From this
//! it follows that a request begun after the acknowledgement never succeeds; that is asserted too, by a logical clock.
//! An answer that was durable before the revocation may still be on its way when the acknowledgement arrives; whoever
//! watches from outside cannot tell it from one that the network has held up.
//!
//! - `in_flight`: one request, held at the last moment before its commit (and at other steps), meets each revocation.
//! - `race`: thousands of requests from many tasks meet each revocation at random moments.
//! - `stream`: what goes on after its admission: exports, followers, remembered answers; and a clock that is set back.

mod acts;
mod in_flight;
mod race;
mod stream;
