// What a kernel's time is made of. A fit puts a price on each feature; coordinates say how alike two problems are, for
// what the prices leave over.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "model/cost.hpp"

namespace railcast {

/// tiles: a GEMM, as waves of output tiles; work: FLOPs and bytes of any other kernel; messages: a collective in a
/// node.
enum class Form : std::uint8_t { tiles, work, messages };
const char* name(Form f);
Form form_of(const Shape& s);
/// What is fitted together: GEMMs, dense or by expert and of all types; weight gradients; collectives, whose protocols
/// change at the same sizes; and family(s) of all else.
std::string fit_family(const Shape& s);

/// Exchanges and sends are priced from ports, not fitted.
bool fittable(const Shape& s);
/// A collective's full vector; 0 of other shapes.
double message_bytes(const Shape& s);

/// What runs: a shape on SMs and, where it is known, how. `variant`: a version and a data type, of impls that have
/// them.
struct Problem {
  Shape shape;
  std::int64_t sms = 0;
  std::string variant = {};
  GemmTile tile = {};
  std::vector<std::int64_t> group_rows = {};  ///< tokens, of a wgrad; empty: m (k) in every group
};

/// Tiles that GEMM kernels for Hopper are built from (DeepGEMM's, CUTLASS's). Which one a closed library takes is not
/// known: it is inferred.
const std::vector<GemmTile>& output_tiles();

/// How a kernel picks its tile: the fewest waves, then the smallest tile; or the fewest waves, then the fullest last
/// one, with tiles of 64 rows for up to 64 rows only (as DeepGEMM does); or the least time at the prices at hand; or,
/// of our own kernels, what ran and otherwise what their rule chooses (model/gemm_tile.hpp).
enum class TileChoice : std::uint8_t { fewest_waves, fullest_wave, least_time, own_rule };
const char* name(TileChoice c);

using Values = std::vector<double>;

/// Features in microseconds, as they would take at the chip's peaks, or counts (launches, waves, steps of K):
/// tiles: launch, waves, steps, tensor work in whole waves, loads of tiles, stores of tiles, memory, tensor work of all
/// SMs (the power cap), rows that are no multiple of 4 (a second kernel re-lays their scales) and their scales' bytes,
/// tiles' bytes out of L2 per SM, waves that split K, clusters; steps of a lone wave by tile (nothing hides its loads),
/// for the largest tiles, and steps by tile, for our own kernels'.
/// work: launch, FLOPs, bytes, launch per row of output. messages, for each collective: launch, peers, the root of
/// bytes over NVLink (a pipeline of chunks of the best size costs the root of launch x bytes), and those bytes among 2,
/// up to 4 and more ranks.
Values features(const Machine& m, const Problem& p, const GemmTile& tile);
/// Of the tile that least time would take with `prices`; prices empty: by fewest waves.
GemmTile chosen_tile(const Machine& m, const Problem& p, TileChoice choice, const Values& prices);

/// Where a problem lies: logs of its sizes and, for tiles, which kernel of a family it is, its tile and how its waves
/// fill. `variant` tells versions of one kernel and its data types apart, where its rows do.
using Variant = std::array<double, 2>;
Values coordinates(const Machine& m, const Problem& p, const GemmTile& tile, const Variant& variant);
/// Typical scales of the coordinates of a form, from which a fit starts.
const Values& usual_scales(Form f);

/// Sum of prices times features.
double priced(const Values& prices, const Values& features);

}  // namespace railcast
