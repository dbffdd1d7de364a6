#include "model/gemm_tile.hpp"

#include "kernels/gemm.hpp"
#include "tests/catch.hpp"

using namespace railcast;

TEST_CASE("every compiled tile comes back from its name, and other text is none", "[model][gemm_tile]") {
  for (const TiledKernel kernel : {TiledKernel::dense, TiledKernel::grouped, TiledKernel::masked, TiledKernel::wgrad})
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

TEST_CASE("a Shape is cut as the kernel's descriptor is", "[model][gemm_tile]") {
  const auto same = [](const Shape& shape, const kernels::Tile& t) {
    INFO(describe(shape));
    CHECK(choose_tile(shape, 132) == GemmTile{t.bm, t.bn, t.multicast, t.split});
  };
  for (const std::int64_t groups : {2, 8, 32})
    for (const std::int64_t rows : {16, 128, 640, 4096})
      for (const auto& [n, k] : {std::pair<std::int64_t, std::int64_t>{4096, 7168}, {7168, 2048}, {1536, 4096}}) {
        kernels::GroupedGemmArgs contiguous;
        contiguous.groups = groups, contiguous.m = groups * ((rows + 127) / 128 * 128);
        contiguous.n = n, contiguous.k = k;
        same(GroupedGemm{groups, rows, n, k, Dtype::fp8_block}, kernels::choose_tile(contiguous, 132));
        kernels::MaskedGemmArgs masked;
        masked.groups = groups, masked.m = 2 * rows, masked.expected_m = rows, masked.n = n, masked.k = k;
        same(GroupedGemmMasked{groups, rows, n, k, Dtype::fp8_block}, kernels::choose_tile(masked, 132));
        kernels::WgradArgs wgrad;
        wgrad.m = n, wgrad.n = k, wgrad.k = 16 * rows;
        same(Wgrad{n, k, 16 * rows, Dtype::fp8_block}, kernels::choose_tile(wgrad, 132));
        wgrad.groups = groups, wgrad.k = groups * 16 * rows;
        same(WgradGrouped{groups, n, k, 16 * rows, Dtype::fp8_block}, kernels::choose_tile(wgrad, 132));
      }
  CHECK(choose_tile(Rope{64, 64}, 132).bm == 0);
}

TEST_CASE("strips of four row tiles for 192 rows where a narrow D takes several waves", "[model][gemm_tile]") {
  const GemmTile tile{192, 128, 1, 1}, pair{192, 128, 2, 1};
  CHECK(strip_of(4096, 2112, tile, 132) == 4);
  CHECK(strip_of(4096, 2112, pair, 132) == 4);
  CHECK(strip_of(1024, 2112, tile, 132) == 16);   // one wave
  CHECK(strip_of(4096, 24576, tile, 132) == 16);  // wide
  CHECK(strip_of(4096, 2112, tile, 64) == 16);    // fewer than seven rows of tiles at once
  CHECK(strip_of(8192, 576, tile, 132) == 16);    // narrower than what was timed
  CHECK(strip_of(4096, 2112, {128, 192, 1, 1}, 132) == 16);
  CHECK(strip_of(4096, 2112, {256, 128, 1, 1}, 132) == 8);
}

TEST_CASE("what an SM draws out of L2 bounds small tiles on few SMs", "[model][gemm_tile]") {
  const TiledProblem p{4096, 1, 4096, 7168};
  for (const int sms : {64, 72, 80, 132}) {
    const GemmTile t = choose_tile(TiledKernel::dense, p, sms);
    INFO(sms << " SMs: " << describe(t));
    CHECK(t.bm * t.bn >= 128 * 128);
  }
}

TEST_CASE("no more CTAs share K than it has steps", "[model][gemm_tile]") {
  for (const std::int64_t k : {16, 128, 144, 384, 512})
    for (const std::int64_t m : {1, 64, 192, 700})
      for (const std::int64_t n : {16, 128, 900}) {
        const GemmTile t = choose_tile(TiledKernel::dense, {static_cast<double>(m), 1, n, k}, 132);
        CHECK(t.split <= (k + 127) / 128);
      }
}
