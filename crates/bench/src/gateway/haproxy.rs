//! The peer: HAProxy with the gateway's policies.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::thread::available_parallelism;

use anyhow::Result;
use tempfile::TempDir;

use crate::program::{self, Program};
use crate::setup::{Setup, free_ports};
use crate::site::JWT_SECRET;
use crate::wire::{Request, status};

pub(super) struct HaProxy {
    pub(super) program: Program,
    pub(super) address: SocketAddr,
    pub(super) threads: usize,
    _folder: TempDir,
}

impl HaProxy {
    pub(super) async fn start(setup: &Setup, backend: SocketAddr) -> Result<Self> {
        let (folder, [address, metrics]) = (setup.folder()?, free_ports()?);
        let threads = match setup.options.haproxy_threads {
            Some(threads) => threads,
            None => available_parallelism()?.get(),
        };
        let file = folder.path().join("haproxy.cfg");
        fs::write(&file, configuration(threads, address, metrics, backend))?;
        let binary = &setup.options.haproxy;
        program::run(Command::new(binary).arg("-c").arg("-f").arg(&file))?;
        let mut command = Command::new(binary);
        command.arg("-db").arg("-f").arg(&file);
        let mut program = Program::start(command, &folder.path().join("access.log"))?;
        program.wait_until(async || status(address, Request::get("/")).await.is_some()).await?;
        Ok(Self { program, address, threads, _folder: folder })
    }
}

/// Policy by policy what the gateway does; the access log is its standard output, which goes to a file.
fn configuration(threads: usize, address: SocketAddr, metrics: SocketAddr, backend: SocketAddr) -> String {
    format!(
        r#"global
    nbthread {threads}
    maxconn 4096
    log stdout len 2048 format raw local0 info

defaults
    mode http
    log global
    log-format '{{"time":"%t","client":"%ci","method":"%HM","path":"%HP","status":%ST,"bytes":%B,"ms":%Ta,"user":"%[var(txn.sub)]","request_id":"%[var(txn.id)]"}}'
    timeout connect 5s
    timeout client 75s
    timeout server 30s
    timeout http-request 10s
    timeout http-keep-alive 75s
    http-reuse always

frontend metrics
    bind {metrics}
    no log
    http-request use-service prometheus-exporter if {{ path /metrics }}

frontend gateway
    bind {address}
    # request id: a client's own is kept if it is well-formed
    acl has_id req.hdr(x-request-id) -m reg ^[A-Za-z0-9._-]{{1,128}}$
    http-request set-var(txn.id) req.hdr(x-request-id) if has_id
    http-request set-var(txn.id) uuid() if !has_id
    # CORS, for a web page of this machine
    acl from_page req.hdr(origin) -m beg http://localhost:
    http-request set-var(txn.origin) req.hdr(origin) if from_page
    http-request return status 204 hdr Access-Control-Allow-Methods "GET, POST, PUT, PATCH, DELETE" if from_page METH_OPTIONS
    # route
    acl to_orders path /orders
    acl to_orders path_beg /orders/
    http-request deny deny_status 404 unless to_orders
    http-request deny deny_status 405 unless {{ method GET HEAD POST PUT PATCH DELETE }}
    # token: algorithm, signature, times
    http-request set-var(txn.bearer) http_auth_bearer
    http-request set-var(txn.alg) var(txn.bearer),jwt_header_query('$.alg')
    http-request deny deny_status 401 unless {{ var(txn.alg) -m str HS256 }}
    http-request deny deny_status 401 unless {{ var(txn.bearer),jwt_verify(txn.alg,"{JWT_SECRET}") -m int 1 }}
    http-request set-var(txn.now) date()
    http-request set-var(txn.exp) var(txn.bearer),jwt_payload_query('$.exp','int')
    http-request deny deny_status 401 if {{ var(txn.exp),sub(txn.now) -m int lt 0 }}
    http-request set-var(txn.sub) var(txn.bearer),jwt_payload_query('$.sub')
    # rate limit for each user
    stick-table type string len 40 size 100k expire 10s store http_req_rate(1s)
    http-request track-sc0 var(txn.sub)
    http-request deny deny_status 429 if {{ sc_http_req_rate(0) gt 1000000 }}
    # headers to the service
    http-request del-header x-user- -m beg
    http-request set-header X-User-Id %[var(txn.sub)]
    http-request set-header X-Request-Id %[var(txn.id)]
    http-request set-header X-Forwarded-For %[src]
    http-request set-header X-Forwarded-Proto http
    http-request set-header X-Forwarded-Host %[req.hdr(host)]
    # headers to the client
    http-after-response set-header X-Request-Id %[var(txn.id)]
    http-after-response add-header Vary Origin
    http-after-response set-header Access-Control-Allow-Origin %[var(txn.origin)] if {{ var(txn.origin) -m found }}
    default_backend orders

backend orders
    server one {backend} pool-max-conn 1024
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_names_its_addresses() {
        let [address, metrics, backend] = free_ports().unwrap();
        let text = configuration(3, address, metrics, backend);
        for part in
            ["nbthread 3", &format!("bind {address}"), &format!("server one {backend}"), "{ path /metrics }"]
        {
            assert!(text.contains(part), "{part}");
        }
    }
}
