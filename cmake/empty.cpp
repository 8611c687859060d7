// Keeps the library valid while a folder has no sources.
