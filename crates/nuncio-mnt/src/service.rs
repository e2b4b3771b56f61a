//! `AlarmService`: converts at the edge, decides nothing.

use std::pin::Pin;

use futures::Stream;
use nuncio_api::v1;
use nuncio_api::v1::alarm_service_server::AlarmService;
use nuncio_core::alarm::catalogue;
use tonic::{Request, Response, Status, Streaming};

pub(crate) struct AlarmApi;

#[tonic::async_trait]
impl AlarmService for AlarmApi {
    async fn raise_alarm(
        &self,
        _request: Request<v1::RaiseAlarmRequest>,
    ) -> Result<Response<v1::RaiseAlarmResponse>, Status> {
        Err(not_yet())
    }

    type RaiseAlarmsStream =
        Pin<Box<dyn Stream<Item = Result<v1::RaiseAlarmsResponse, Status>> + Send>>;

    async fn raise_alarms(
        &self,
        _request: Request<Streaming<v1::RaiseAlarmsRequest>>,
    ) -> Result<Response<Self::RaiseAlarmsStream>, Status> {
        Err(not_yet())
    }

    async fn clear_alarm(
        &self,
        _request: Request<v1::ClearAlarmRequest>,
    ) -> Result<Response<v1::ClearAlarmResponse>, Status> {
        Err(not_yet())
    }

    async fn get_alarm(
        &self,
        _request: Request<v1::GetAlarmRequest>,
    ) -> Result<Response<v1::GetAlarmResponse>, Status> {
        Err(not_yet())
    }

    async fn list_alarms(
        &self,
        _request: Request<v1::ListAlarmsRequest>,
    ) -> Result<Response<v1::ListAlarmsResponse>, Status> {
        Err(not_yet())
    }

    async fn acknowledge_alarm(
        &self,
        _request: Request<v1::AcknowledgeAlarmRequest>,
    ) -> Result<Response<v1::AcknowledgeAlarmResponse>, Status> {
        Err(not_yet())
    }

    async fn create_silence(
        &self,
        _request: Request<v1::CreateSilenceRequest>,
    ) -> Result<Response<v1::CreateSilenceResponse>, Status> {
        Err(not_yet())
    }

    async fn list_silences(
        &self,
        _request: Request<v1::ListSilencesRequest>,
    ) -> Result<Response<v1::ListSilencesResponse>, Status> {
        Err(not_yet())
    }

    async fn delete_silence(
        &self,
        _request: Request<v1::DeleteSilenceRequest>,
    ) -> Result<Response<v1::DeleteSilenceResponse>, Status> {
        Err(not_yet())
    }

    async fn list_alarm_types(
        &self,
        _request: Request<v1::ListAlarmTypesRequest>,
    ) -> Result<Response<v1::ListAlarmTypesResponse>, Status> {
        let alarm_types = catalogue::shipped().map(v1::AlarmType::from).collect();
        Ok(Response::new(v1::ListAlarmTypesResponse {
            alarm_types,
            next_page_token: String::new(),
        }))
    }

    async fn update_alarm_type(
        &self,
        _request: Request<v1::UpdateAlarmTypeRequest>,
    ) -> Result<Response<v1::UpdateAlarmTypeResponse>, Status> {
        Err(not_yet())
    }

    async fn delete_alarm_type(
        &self,
        _request: Request<v1::DeleteAlarmTypeRequest>,
    ) -> Result<Response<v1::DeleteAlarmTypeResponse>, Status> {
        Err(not_yet())
    }

    async fn get_alarm_settings(
        &self,
        _request: Request<v1::GetAlarmSettingsRequest>,
    ) -> Result<Response<v1::GetAlarmSettingsResponse>, Status> {
        Err(not_yet())
    }

    async fn update_alarm_settings(
        &self,
        _request: Request<v1::UpdateAlarmSettingsRequest>,
    ) -> Result<Response<v1::UpdateAlarmSettingsResponse>, Status> {
        Err(not_yet())
    }

    async fn explain_route(
        &self,
        _request: Request<v1::ExplainRouteRequest>,
    ) -> Result<Response<v1::ExplainRouteResponse>, Status> {
        Err(not_yet())
    }
}

fn not_yet() -> Status {
    Status::unimplemented("this version lists the types of alarms only")
}
