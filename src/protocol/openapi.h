#pragma once

#include "protocol/buffer.h"

namespace kerf::protocol {

// The HTTP interface as an OpenAPI 3.0 document, for generators of clients.
void write_openapi(Buffer& out);
// The same as a page for people: one HTML file that loads the document and nothing else.
void write_api_page(Buffer& out);

}  // namespace kerf::protocol
