//! What goes on after its admission: exports, followers, remembered answers; and a clock that is set back.
