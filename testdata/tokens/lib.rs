// Cargo wants a package to have code; this one only names what is built.
