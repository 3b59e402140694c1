//! `syn` parses a Rust source, which is walked, copied and dropped, as compilers and macros churn through trees.

use std::hint::black_box;

use syn::visit::{self, Visit};

use super::{Outcome, threads};
use crate::clock::{Length, nanos_per_operation};
use crate::request::Request;

/// Handles 50 times a struct, its methods and a function, which are 1 500 lines of Rust.
pub(super) fn parse(request: &Request) -> Outcome {
    threads::in_each(request, parse_for)
}

fn parse_for(length: Length) -> f64 {
    let source: String = (0..50).map(|n| ITEMS.replace("Account", &format!("Account{n}"))).collect();
    nanos_per_operation(length, 1, |operations| {
        for _ in 0..operations {
            let file = syn::parse_file(&source).expect("valid Rust");
            let mut calls = Calls(0);
            calls.visit_file(&file);
            assert_eq!(calls.0, 50 * 11);
            black_box((file.clone(), file));
        }
    })
}

struct Calls(usize);

impl<'ast> Visit<'ast> for Calls {
    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        self.0 += 1;
        visit::visit_expr_method_call(self, call);
    }
}

const ITEMS: &str = r#"
/// What a customer owns.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Account<'a, T: Clone + Send> {
    /// Names who owns the account.
    pub owner: &'a str,
    entries: Vec<(u64, T)>,
    index: std::collections::HashMap<String, Option<Box<dyn Fn(&T) -> bool + 'a>>>,
}

impl<'a, T: Clone + Send> Account<'a, T>
where
    T: Into<i128> + 'static,
{
    pub fn balance(&self, until: u64) -> Result<i128, Error> {
        let mut sum = 0_i128;
        for (time, entry) in self.entries.iter().filter(|(time, _)| *time <= until) {
            match entry.clone().into() {
                0 => continue,
                value if value < 0 && sum + value < 0 => return Err(Error::Overdrawn { time: *time, by: -(sum + value) }),
                value => sum += value,
            }
        }
        Ok(sum)
    }

    fn keys(&self) -> impl Iterator<Item = String> + '_ {
        self.index.iter().map(|(key, test)| format!("{key}:{}", test.is_some() as u8)).chain(["end".to_owned()])
    }
}

impl Account<'static, i64> {
    async fn fetch(&mut self, from: std::net::SocketAddr) -> Option<[u8; 32]> {
        let answer = connect(from).await?;
        if let [first, .., last] = &answer[..] && first != last {
            self.entries.push((u64::from(*first) << 8 | u64::from(*last), 1));
        }
        answer.try_into().ok()
    }
}
"#;
