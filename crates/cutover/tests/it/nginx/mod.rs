//! `cutover nginx`: what it prints makes Debian's nginx pin, to the last path; what nginx refuses is put back.

mod outside;
mod promise;
mod reload;
mod stand;
mod visitors;
mod ways;
