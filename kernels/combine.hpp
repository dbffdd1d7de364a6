// The way back of dispatch: every token's rows from the ranks it went to, added up in FP32 in the order of the ranks.
#pragma once
#include "kernels/exchange.hpp"

namespace railcast::kernels {

struct CombineRank {
  std::int64_t tokens = 0;
  const int* places = nullptr;   ///< [tokens, ranks], from this epoch's dispatch_layout
  const int* chosen = nullptr;   ///< [tokens, top_k]; for out_weights only
  Bf16* out = nullptr;           ///< [tokens, cols], aligned to 16; zeros for a token that went nowhere
  float* out_weights = nullptr;  ///< optional [tokens, top_k]: each choice's y_weights; 0 for choices of -1
};

/// The windows' y (rows as dispatch received them; where a rank's experts are summed and weighted already) must be
/// written by earlier work on the stream. One combine a layout.
struct CombineArgs {
  ExchangeShape shape;
  Peers peers;
  CombineRank rank[kMostRanks];  ///< [i]: rank peers.first + i
  std::int64_t chunk = 14336;    ///< bytes of a row that a warp adds up before it goes on, a multiple of 16
  double timeout_s = 10;         ///< then throw_if_late names the rank that was not there
};
/// `launch.sms`: blocks in all, 0: 24.
void combine(const CombineArgs& args, const Launch& launch);

}  // namespace railcast::kernels
