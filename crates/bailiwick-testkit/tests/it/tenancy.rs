//! Two tenants, the same names, every case twice with the roles swapped.
