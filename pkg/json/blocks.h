#pragma once
// The memory of documents. One takes a few blocks, of some hundred bytes to some ten kilobytes, and
// gives them back soon; each thread keeps a few of the last ones for the next document, which costs
// a tenth of what the general allocator takes for blocks of such sizes. For this folder. Any
// thread; a block may be given back by another than took it.

#include <yyjson.h>

namespace wherry::json {

const yyjson_alc* blocks();

}  // namespace wherry::json
