#include "model/chunk.hpp"
#include "tests/catch.hpp"
#include "tests/model/toy.hpp"

using namespace railcast;

namespace {

/// Arithmetic draws power alone, memory-bound ops the memory's rate; a millisecond each.
class Drawing : public CostModel {
 public:
  Cost cost(const Shape& s, std::int64_t) const override {
    Cost c;
    c.work = Time::seconds(1e-3);
    c.drawn(flops(s) > 0 ? Draw::power : Draw::hbm) = 1;
    return c;
  }
};

const Works kMixed{{"norm", RmsNorm{8, 8}}, {"a", Gemm{8, 8, 8}}, {"add", Add{8, 8}}, {"b", Gemm{8, 8, 8}}};

}  // namespace

TEST_CASE("a mean draw hides what each kind of op meets; parts of their own do not", "[model][cost_parts]") {
  const Parts mean = cost_parts(kMixed, Drawing(), 4), apart = cost_parts(kMixed, Drawing(), 4, true);
  REQUIRE(mean.size() == 1);
  CHECK(mean[0].cost.draw[0] == Approx(0.5));
  REQUIRE(apart.size() == 2);
  CHECK(apart[0].cost.draw[static_cast<std::size_t>(Draw::hbm)] == 1);
  CHECK(apart[0].cost.draw[static_cast<std::size_t>(Draw::power)] == 0);
  CHECK(apart[1].cost.draw[static_cast<std::size_t>(Draw::power)] == 1);
  CHECK(apart[0].cost.work + apart[1].cost.work == mean[0].cost.work);
}

TEST_CASE("collectives keep their place among the parts", "[model][cost_parts]") {
  Works w = kMixed;
  w.insert(w.begin() + 2, {"gather", AllGather{8, 2, 2}});
  const Parts parts = cost_parts(w, Drawing(), 4, true);
  REQUIRE(parts.size() == 5);
  CHECK(parts[2].group == Group::tp);
}
