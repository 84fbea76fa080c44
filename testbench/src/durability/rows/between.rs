//! Rows about answers that are not AMP's: a proxy, a gateway, a captive portal or a cancelled request speaks, and whatever
//! its status says, it says nothing about the samples.

use super::builders::{amp_says, engine};
use crate::durability::form::Form;
use crate::durability::row::{Row, Sending};
use crate::durability::shown::Shown;
use emulator::fault::FaultKind;

pub(super) fn rows(form: &Form) -> Vec<Row> {
    let says = |name, what: &str, answer| {
        amp_says(form, name, what, answer).shown(Shown::outcome("unexpected"))
    };
    let status = |name, status: u16, text: &str| {
        let what = format!("something in between answers {status}");
        says(name, &what, FaultKind::answer(status, text))
    };
    let page = |name, status: u16, title: &str| {
        let what = format!("something in between answers {status} with a web page");
        says(name, &what, FaultKind::html(status, title))
    };
    vec![
        status("amp-407", 407, "Proxy Authentication Required"),
        status("amp-421", 421, "Misdirected Request"),
        status("amp-425", 425, "Too Early"),
        status("amp-426", 426, "Upgrade Required"),
        status("amp-428", 428, "Precondition Required"),
        status("amp-431", 431, "Request Header Fields Too Large"),
        status("amp-451", 451, "Unavailable For Legal Reasons"),
        says(
            "amp-499",
            "AMP 499, a request that something in between cancelled",
            engine("canceled"),
        ),
        page("amp-200-html", 200, "Sign in to the network"),
        page("vmagent-amp-200-html", 200, "Sign in to the network").sent_by(Sending::Vmagent),
        page("amp-400-html", 400, "400 Bad Request"),
        page("vmagent-amp-400-html", 400, "400 Bad Request").sent_by(Sending::Vmagent),
        page("amp-403-html", 403, "This page is blocked"),
        page("amp-413-html", 413, "413 Request Entity Too Large"),
    ]
}
