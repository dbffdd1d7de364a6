#include "model/gemm_tile.hpp"

#include "kernels/gemm.hpp"
#include "tests/catch.hpp"

using namespace railcast;

TEST_CASE("every compiled tile comes back from its name, and other text is none", "[model][gemm_tile]") {
  for (const TiledKernel kernel : {TiledKernel::dense, TiledKernel::grouped, TiledKernel::wgrad})
    for (const GemmTile& t : compiled_tiles(kernel)) CHECK(tile_named(describe(t)) == t);
  for (const char* text : {"-", "", "128", "128x64 split", "128x64 split 1", "128 x 64"})
    CHECK(tile_named(text).bm == 0);
}

TEST_CASE("the kernels run the tile that the model knows", "[model][gemm_tile]") {
  for (const std::int64_t m : {1, 64, 300, 4096})
    for (const int sms : {64, 112, 132}) {
      kernels::GemmArgs args;
      args.m = m, args.n = 2112, args.k = 7168;
      const GemmTile t = choose_tile(TiledKernel::dense, {static_cast<double>(m), 1, 2112, 7168}, sms);
      CHECK(describe(t) == kernels::describe(kernels::choose_tile(args, sms)));
    }
}
