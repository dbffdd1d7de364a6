// How railcast's own GEMM kernels cut a problem: the kernels run by this rule, and the fit of their rows knows it.
// Plain integers, as model/shapes.hpp: kernels/ includes this header too.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "model/shapes.hpp"

namespace railcast {

/// A tile of D; `multicast` CTAs side by side along n share the rows of A, `split` CTAs of a cluster share K.
struct GemmTile {
  int bm = 0, bn = 0;  ///< rows and columns of D; 0: not chosen
  int multicast = 1, split = 1;
  bool operator==(const GemmTile&) const = default;
};
/// "128x64 split 4", and back; bm = 0 where the text is none.
std::string describe(const GemmTile& tile);
GemmTile tile_named(const std::string& text);

/// Which kernels are compiled for: dense; expert by expert, contiguous and masked; weight gradients.
enum class TiledKernel : std::uint8_t { dense, grouped, masked, wgrad };
std::vector<GemmTile> compiled_tiles(TiledKernel kernel);

/// What the rule sees of a problem; of a Wgrad, `k` are the tokens of a group.
struct TiledProblem {
  double rows_per_group = 0;  ///< typical rows of one group
  std::int64_t groups = 1, n = 0, k = 0;
};
/// The compiled tile that is expected to take least time on `sms` SMs. A function of its arguments alone.
GemmTile choose_tile(TiledKernel kernel, const TiledProblem& problem, int sms);

/// Of a GEMM's Shape; bm = 0 of any other.
GemmTile choose_tile(const Shape& shape, int sms);

/// Row tiles of a strip of D (kernels/schedule.cuh), which is walked column by column: some 2048 rows beside 66
/// clusters of 256 columns are about a square.
int strip_of(const GemmTile& tile);
/// Of a dense D: 4 of 192 rows where it takes several waves and is narrow (kernels/NOTES.md).
int strip_of(double rows, std::int64_t n, const GemmTile& tile, int sms);

/// Clusters of `size` CTAs that the rule takes to run at once.
double resident_clusters(int size, int sms);

}  // namespace railcast
