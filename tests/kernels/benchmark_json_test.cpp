#include "kernels/benchmark_json.hpp"

#include <fstream>
#include <nlohmann/json.hpp>

#include "cli/measured.hpp"
#include "tests/catch.hpp"
#include "tests/cli/scratch.hpp"

using namespace railcast::kernels;

namespace {

const Fields kKey = {{"m", "64"},           {"n", "2112"},  {"k", "7168"},      {"dtype", "bf16"},
                     {"out_dtype", "bf16"}, {"sms", "116"}, {"method", "cool"}, {"impl", "cublaslt_bf16"}};

std::string written(const railcast::Scratch& folder) {
  const std::string path = folder.path() + "/rows.json";
  write_benchmark_json(path, "NVIDIA \"H100\"", "2026-11-26 16:18 UTC",
                       {{benchmark_name("gemm", kKey), 15, 18.912, {{"error", 1.6e-3}}},
                        {benchmark_name("gemm", {{"m", "1"}}), 8, 1e6 / 3, {}}});
  return path;
}

}  // namespace

TEST_CASE("rows are written as Google Benchmark writes them", "[kernels][json]") {
  const railcast::Scratch folder;
  std::ifstream in(written(folder));
  const auto j = nlohmann::json::parse(in);
  CHECK(j.at("context").at("host_name") == "NVIDIA \"H100\"");
  const auto& row = j.at("benchmarks").at(0);
  CHECK(row.at("name") == "gemm/m:64/n:2112/k:7168/dtype:bf16/out_dtype:bf16/sms:116/cool/cublaslt_bf16");
  CHECK((row.at("run_type") == "iteration" && row.at("time_unit") == "us"));
  CHECK((row.at("iterations") == 15 && row.at("real_time") == 18.912 && row.at("error") == 1.6e-3));
  CHECK(j.at("benchmarks").at(1).at("real_time").get<double>() == Approx(1e6 / 3));
}

TEST_CASE("what is written is read back as the row it was, type and SMs too", "[kernels][json]") {
  const railcast::Scratch folder;
  const std::string path = folder.path() + "/rows.json";
  write_benchmark_json(path, "NVIDIA H100 80GB HBM3", "", {{benchmark_name("gemm", kKey), 15, 18.912, {}}});
  railcast::Measured out;
  REQUIRE(railcast::read_measured_json(path, railcast::MeasuredDefaults{}, out));
  REQUIRE(out.rows.size() == 1);
  const auto& gemm = std::get<railcast::Gemm>(out.rows[0].shape);
  CHECK((gemm.m == 64 && gemm.n == 2112 && gemm.k == 7168 && gemm.dtype == railcast::Dtype::bf16));
  CHECK((out.rows[0].sms == 116 && out.rows[0].method == "cool" && out.rows[0].impl == "cublaslt_bf16"));
  CHECK(out.rows[0].us == Approx(18.912));
}

TEST_CASE("a file that cannot be written is an error", "[kernels][json]") {
  CHECK_THROWS_WITH(write_benchmark_json("/nowhere/rows.json", "", "", {}),
                    "/nowhere/rows.json: cannot be written; is the folder there and writable?");
}
