// A shared library that is no plug-in.
extern "C" int kerf_test_answer() { return 42; }
