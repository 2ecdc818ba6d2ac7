#pragma once
// The Client and the Cache of components that live in the server's process: calls go straight into
// the machinery, as the identity given, and listers read the store's own maps. Any thread.

#include <memory>

#include "apiserver/machinery.h"
#include "apiserver/reviews.h"
#include "client/client.h"
#include "store/store.h"

namespace wherry::apiserver {

// `machinery`, and who answers reviews, outlive the client.
std::unique_ptr<client::Client> make_local_client(Machinery& machinery, Reviewers reviewers,
                                                  User user);

// `store` outlives the cache.
std::unique_ptr<client::Cache> make_store_cache(store::Store& store);

}  // namespace wherry::apiserver
