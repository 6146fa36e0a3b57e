//! The log of one run on disk: a text file for people and an index beside it for programs.
