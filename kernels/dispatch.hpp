// Tokens to the ranks of their experts, one copy a rank. First the layout (counts and places, told to all ranks), then
// the rows, written straight to their final place at the receiver.
#pragma once
#include "kernels/exchange.hpp"

namespace railcast::kernels {

/// What one of the ranks of a launch sends.
struct DispatchRank {
  std::int64_t tokens = 0;         ///< up to the shape's
  const void* x = nullptr;         ///< [tokens, row_bytes], aligned to 16
  const float* scales = nullptr;   ///< [tokens, groups] by the strides below; unused without groups
  const int* chosen = nullptr;     ///< [tokens, top_k]: experts, or -1
  const float* weights = nullptr;  ///< [tokens, top_k]
  int* places = nullptr;           ///< [tokens, ranks], from the layout: the token's number among this rank's to that
                                   ///< rank, or -1
  int* expert_counts = nullptr;    ///< optional [experts], from the layout: this rank's choices
  int* rank_counts = nullptr;      ///< optional [ranks], from the layout: this rank's tokens to each
  int* received = nullptr;         ///< optional [1], from dispatch: rows in use of its window, the first so many
};

struct DispatchArgs {
  ExchangeShape shape;
  Peers peers;
  DispatchRank rank[kMostRanks];  ///< [i]: rank peers.first + i
  std::int64_t token_stride = 0;  ///< token t's group g at scales[t * token_stride + g * group_stride]
  std::int64_t group_stride = 1;
  std::int64_t chunk = 512;  ///< tokens that a block sends between two notices of arrival
  double timeout_s = 10;     ///< then throw_if_late names the rank that was not there
};

/// Counts, places, and counts told to every rank. Each dispatch wants one layout before it; a layout returns before the
/// other ranks' counts are here, and dispatch waits for them. With it every rank also says that its window is free.
void dispatch_layout(const DispatchArgs& args, const Launch& launch);

/// Fills the windows' x and notes; those past the received rows keep what they held.
/// Deterministic: rows lie by (source rank, token). Ends when all that is due here has arrived. `launch.sms`: blocks
/// in all, 0: 24.
void dispatch(const DispatchArgs& args, const Launch& launch);

}  // namespace railcast::kernels
