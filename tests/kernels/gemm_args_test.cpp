#include <algorithm>
#include <cstdint>
#include <string>

#include "kernels/error.hpp"
#include "kernels/gemm.hpp"
#include "model/gemm_tile.hpp"
#include "tests/catch.hpp"

using namespace railcast::kernels;

namespace {

template <typename T>
T* at(std::uintptr_t address) {
  return reinterpret_cast<T*>(address);
}

GemmArgs valid() {
  GemmArgs args;
  args.m = 100, args.n = 2112, args.k = 7168;
  args.a = at<void>(0x1000), args.a_scales = at<float>(0x2000), args.a_scale_stride = 100;
  args.b = at<void>(0x3000), args.b_scales = at<float>(0x4004), args.d = at<void>(0x5000);
  return args;
}

std::string fault(const GemmArgs& args, const Launch& launch = {}) {
  try {
    check(args, launch, 132);
  } catch (const KernelError& error) {
    CHECK(error.fault() == Fault::argument);
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("a valid GEMM passes the checks, also with partial scale blocks and M tails", "[kernels][args]") {
  CHECK(fault(valid()) == "");
  GemmArgs args = valid();
  args.m = 1, args.n = 16, args.k = 10944 + 16, args.a_scale_stride = 4;
  CHECK(fault(args) == "");
  args.m = 0, args.a = nullptr;  // nothing to do, not an error
  CHECK(fault(args) == "");
}

TEST_CASE("a GEMM's bad argument is named with what was expected and given", "[kernels][args]") {
  GemmArgs args = valid();
  args.n = 8;
  CHECK(fault(args) == "n must be a positive multiple of 16, got 8");
  args = valid(), args.k = 100;
  CHECK(fault(args) == "k must be a positive multiple of 16, got 100");
  args = valid(), args.m = -1;
  CHECK(fault(args).find("m must lie in") == 0);
  args = valid(), args.a = at<void>(0x1008);
  CHECK(fault(args) == "a must be aligned to 16 bytes, its address ends in 8");
  args = valid(), args.d = nullptr;
  CHECK(fault(args) == "d is null");
  args = valid(), args.a_scale_stride = 56;  // row-major [m][k/128] given
  CHECK(fault(args).find("a_scale_stride is the pitch") == 0);
  CHECK(fault(valid(), {nullptr, 133, false}).find("sms must lie in 0..132") == 0);
}

TEST_CASE("grouped arguments are checked: groups, maps, unequal limits", "[kernels][args]") {
  GroupedGemmArgs grouped;
  grouped.n = 4096, grouped.k = 7168, grouped.m = 256;
  CHECK_THROWS_WITH(check(grouped, {}, 132), "groups must lie in 1..1024, got 0");
  MaskedGemmArgs masked;
  masked.groups = 2, masked.m = 64, masked.n = 4096, masked.k = 0;
  CHECK_THROWS_WITH(check(masked, {}, 132), "k must be a positive multiple of 16, got 0");
  WgradArgs grad;
  grad.m = 768, grad.n = 768, grad.k = 1040, grad.groups = 2;
  CHECK_THROWS_WITH(check(grad, {}, 132), "k must be a positive multiple of 128, got 1040");
}

TEST_CASE("the tile choice fills the GPU", "[kernels][tile]") {
  GemmArgs args = valid();
  args.m = 4096, args.n = 4096;
  CHECK(describe(choose_tile(args, 132)) == "256x128 multicast 2");
  args.m = 64, args.n = 2112;  // 33 tiles of 64x64: K is shared to keep the SMs busy
  CHECK(choose_tile(args, 132).split > 1);
  for (const int sms : {1, 2, 5, 17}) {  // never a cluster that the given SMs cannot hold
    const Tile tile = choose_tile(args, sms);
    CHECK(std::max(tile.multicast, tile.split) <= sms);
  }
  args.tile = {128, 128, 1, 1};
  CHECK(choose_tile(args, 132) == args.tile);
}

TEST_CASE("a tile that was remembered is the tile that the rule chooses", "[kernels][tile]") {
  // More problems than are remembered, so that many push another one out, asked twice
  for (int again = 0; again < 2; ++again)
    for (std::int64_t m = 64; m <= 4096; m += 96)
      for (const std::int64_t n : {512, 2112, 7168, 24576})
        for (const int sms : {0, 72, 132}) {
          GemmArgs args = valid();
          args.m = m, args.n = n;
          MaskedGemmArgs masked;
          masked.m = m, masked.n = n, masked.k = args.k, masked.groups = 2, masked.expected_m = m / 2;
          const int on = sms > 0 ? sms : 132;
          const auto rule = [&](railcast::TiledKernel kernel, const railcast::TiledProblem& problem) {
            return railcast::describe(railcast::choose_tile(kernel, problem, on));
          };
          const double rows = static_cast<double>(m), expected = static_cast<double>(m / 2);
          CHECK(describe(choose_tile(args, sms)) == rule(railcast::TiledKernel::dense, {rows, 1, n, args.k}));
          CHECK(describe(choose_tile(masked, sms)) == rule(railcast::TiledKernel::masked, {expected, 2, n, args.k}));
        }
}
