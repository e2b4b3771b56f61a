//! How servers are reached: name service, sockets, proxies.

pub mod network;

pub mod proxy;
