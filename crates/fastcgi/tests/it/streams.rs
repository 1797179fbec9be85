//! Long bodies, early answers, aborts.
